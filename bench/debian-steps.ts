import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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

/** Does one step to the file system of `device`, which is mounted for no longer than that. */
export async function takeStep(device: string, mountPoint: string, step: number): Promise<void> {
  await mkdir(mountPoint, { recursive: true })
  await run('mount', [device, mountPoint])
  try {
    if (step === 0) await bootstrap(mountPoint)
    await writeFile(join(mountPoint, 'etc/resolv.conf'), await run('cat', ['/etc/resolv.conf']))
    const enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -ec "$1"'
    const isolation = ['--mount', '--pid', '--fork', '--kill-child']
    const { script } = DEBIAN_STEPS[step]!
    await run('unshare', [...isolation, 'sh', '-c', enter, mountPoint, script], {
      timeoutMs: STEP_MS,
    })
  } finally {
    await run('umount', [mountPoint])
  }
}

async function bootstrap(folder: string): Promise<void> {
  const mirror = process.env['STAMPEDE_LAB_MIRROR'] ?? (await debianMirror())
  const include = mirror.startsWith('https:') ? ['--include=ca-certificates'] : []
  await run('debootstrap', ['--variant=minbase', ...include, SUITE, folder, mirror], {
    timeoutMs: STEP_MS,
  })
  await writeFile(join(folder, 'etc/apt/sources.list'), `deb ${mirror} ${SUITE} main\n`)
  // No service starts while packages are installed (invoke-rc.d(8)).
  const policy = join(folder, 'usr/sbin/policy-rc.d')
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  await run('chroot', [folder, 'apt-get', 'update', '-q'], { timeoutMs: STEP_MS })
}
