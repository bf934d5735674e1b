import { mkdir } from 'node:fs/promises'
import { debianMirror } from '#lab/debian-mirror.ts'
import { run } from '#lab/command.ts'
import { SUITE } from '#lab/golden-recipes.ts'

/** A system that is installed, used and updated: what a golden image goes through in a year. */

const STEP_MS = 30 * 60_000

export interface DebianStep {
  title: string
  /** In the system, by sh. */
  script: string
}

export const DEBIAN_STEPS: readonly DebianStep[] = [
  { title: 'Debian by debootstrap', script: 'true' },
  {
    title: 'apt install nginx vim python3',
    script: install('nginx vim python3'),
  },
  { title: 'apt install git openssh-server rsync', script: install('git openssh-server rsync') },
  {
    title: 'packages unpacked anew, as by updates',
    script: `${install('--reinstall nginx-common python3.11-minimal libpython3.11-stdlib perl-base')}
      find /usr/share/doc -type f | xargs touch`,
  },
  {
    title: 'apt purge vim, apt install build-essential, logs',
    script: `${apt('purge vim vim-runtime')}; ${install('build-essential')}
      seq 1 1000000 >/var/log/application.log`,
  },
]

function install(packages: string): string {
  return apt(`install --no-install-recommends ${packages}`)
}

function apt(call: string): string {
  return `DEBIAN_FRONTEND=noninteractive apt-get -qy ${call} && apt-get clean`
}

/**
 * Does one step to the file system of `device`. It is mounted in a namespace of its own only, so that
 * nobody else's can keep it mounted when the step is done.
 */
export async function takeStep(device: string, mountPoint: string, step: number): Promise<void> {
  await mkdir(mountPoint, { recursive: true })
  const { script } = DEBIAN_STEPS[step]!
  const prepare = step === 0 ? await bootstrap() : 'true'
  const inside = `mount "$0" "$1"; ${prepare}
    cp /etc/resolv.conf "$1/etc/resolv.conf"; mount -t proc proc "$1/proc"
    chroot "$1" sh -ec "$2"`
  const isolation = ['--mount', '--pid', '--fork', '--kill-child']
  await run('unshare', [...isolation, 'sh', '-ec', inside, device, mountPoint, script], {
    timeoutMs: STEP_MS,
  })
  await run('e2fsck', ['-fn', device], { timeoutMs: STEP_MS })
}

async function bootstrap(): Promise<string> {
  const mirror = process.env['STAMPEDE_LAB_MIRROR'] ?? (await debianMirror())
  const include = mirror.startsWith('https:') ? '--include=ca-certificates' : ''
  return `debootstrap --variant=minbase ${include} ${SUITE} "$1" ${mirror}
    echo "deb ${mirror} ${SUITE} main" >"$1/etc/apt/sources.list"
    # No service starts while packages are installed (invoke-rc.d(8)).
    printf '#!/bin/sh\\nexit 101\\n' >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"
    chroot "$1" apt-get update -q`
}
