import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'
import {
  COMMON_PACKAGES,
  DPKG_FILTERS,
  ESP_VOLUME_ID,
  GOLDEN_PASSWORD,
  MASKED_UNITS,
  SUITE,
} from './golden-recipes.ts'
import type { GoldenRecipe } from './golden-recipes.ts'

const DEBOOTSTRAP_TIMEOUT_MS = 15 * 60_000
const PACKAGES_TIMEOUT_MS = 15 * 60_000

/** Makes the tree that the systems share and packs it into `tarball`. */
export async function packBaseTree(tarball: string, folder: string, mirror: string): Promise<void> {
  const tree = path.join(folder, 'base')
  // apt inside needs certificates if the mirror is one with TLS.
  const include = mirror.startsWith('https:') ? ['--include=ca-certificates'] : []
  const args = ['--variant=minbase', ...include, SUITE, tree, mirror]
  await run('debootstrap', args, { timeoutMs: DEBOOTSTRAP_TIMEOUT_MS })
  await writeFiles(tree, commonFiles(mirror))
  await install(tree, COMMON_PACKAGES)
  // debootstrap unpacked its packages before dpkg knew what to leave out.
  await inTree(tree, 'rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/*')
  await run('tar', ['-C', tree, '--numeric-owner', '-I', 'zstd -3 -T0', '-cf', tarball, '.'])
  await rm(tree, { recursive: true })
}

/** Unpacks the shared tree and makes it the system of one recipe. */
export async function makeTree(tarball: string, tree: string, recipe: GoldenRecipe): Promise<void> {
  await mkdir(tree)
  await run('tar', ['-C', tree, '--numeric-owner', '-I', 'zstd', '-xf', tarball])
  await writeFiles(tree, systemFiles(recipe))
  await install(tree, recipe.packages)
  // After the packages, which bring examples of their own.
  await writeFiles(tree, recipe.files)
  await inTree(tree, FINISH)
}

function commonFiles(mirror: string): Record<string, string> {
  return {
    '/etc/apt/sources.list': `deb ${mirror} ${SUITE} main\n`,
    '/etc/dpkg/dpkg.cfg.d/lab': ['force-unsafe-io', ...DPKG_FILTERS, ''].join('\n'),
    // No service starts while packages are installed (invoke-rc.d(8)).
    '/usr/sbin/policy-rc.d': '#!/bin/sh\nexit 101\n',
    '/etc/initramfs-tools/conf.d/lab': 'MODULES=most\nCOMPRESS=zstd\n',
    // The initramfs is made once, at the end.
    '/etc/initramfs-tools/update-initramfs.conf': 'update_initramfs=no\nbackup_initramfs=no\n',
  }
}

function systemFiles(recipe: GoldenRecipe): Record<string, string> {
  const { lvm, rootUuid, fileSystem, hostname } = recipe
  const root = lvm ? `/dev/mapper/${lvm.group}-${lvm.volume}` : `UUID=${rootUuid}`
  const esp = `UUID=${ESP_VOLUME_ID.slice(0, 4)}-${ESP_VOLUME_ID.slice(4)}`
  const fstab = [
    `${root} / ${fileSystem} defaults 0 1`,
    ...(recipe.table === 'gpt' ? [`${esp} /boot/efi vfat umask=0077 0 2`] : []),
  ]
  return {
    '/etc/hostname': `${hostname}\n`,
    '/etc/hosts': `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n`,
    '/etc/fstab': `${fstab.join('\n')}\n`,
    '/boot/grub/grub.cfg': grubConfig(recipe, root),
  }
}

function grubConfig({ kernelArguments }: GoldenRecipe, root: string): string {
  const args = `root=${root} ro console=tty0 console=ttyS0,115200 loglevel=4 ${kernelArguments}`
  return `set timeout=0
menuentry "Debian" {
  linux /vmlinuz ${args.trim()}
  initrd /initrd.img
}
`
}

const FINISH = `
echo root:${GOLDEN_PASSWORD} | chpasswd
systemctl mask ${MASKED_UNITS.join(' ')}
if test -d /etc/netplan; then systemctl enable systemd-networkd; chmod 600 /etc/netplan/*; fi
if test -d /etc/NetworkManager; then chmod 600 /etc/NetworkManager/system-connections/*; fi
test -s /etc/machine-id || systemd-machine-id-setup
sed -i s/=no/=yes/ /etc/initramfs-tools/update-initramfs.conf
update-initramfs -c -k all
rm -f /usr/sbin/policy-rc.d /etc/resolv.conf
mkdir -p /boot/efi
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt
`

async function install(tree: string, packages: string[]): Promise<void> {
  const script = `
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends -o Dpkg::Options::=--force-confold ${packages.join(' ')}
apt-get clean
`
  await writeFiles(tree, { '/etc/resolv.conf': await hostResolver() })
  await inTree(tree, script)
}

function hostResolver(): Promise<string> {
  return run('cat', ['/etc/resolv.conf'])
}

/** Runs a shell script in the tree, whose mounts and processes end with it. */
async function inTree(
  tree: string,
  script: string,
  timeoutMs = PACKAGES_TIMEOUT_MS,
): Promise<void> {
  const enter = `mount -t proc proc "$0/proc" && exec chroot "$0" sh -ec "$1"`
  const args = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', enter, tree, script]
  await run('unshare', args, { timeoutMs, env: { ...process.env, LC_ALL: 'C', HOME: '/root' } })
}

async function writeFiles(tree: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(tree, name)
    await mkdir(path.dirname(file), { recursive: true })
    // A symbolic link in the tree must not lead to a file of this machine.
    await rm(file, { force: true })
    await writeFile(file, text)
    if (text.startsWith('#!')) await chmod(file, 0o755)
  }
}
