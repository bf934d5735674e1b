import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

/**
 * What each goal needs from Debian. Kept together so that one look tells what a set-up installs;
 * the initramfs's own content is downloaded by its build, not installed here.
 */
export const PACKAGES = {
  server: [
    ['ipxe', 'qemu-utils', 'xz-utils', 'bzip2', 'iproute2', 'iputils-ping', 'util-linux'],
    // They read single files of images.
    ['e2fsprogs', 'xfsprogs', 'mtools', 'ntfs-3g'],
  ].flat(),
  initramfs: ['zstd', 'cpio', 'kmod', 'binutils', 'dpkg', 'apt', 'debian-archive-keyring'],
  lab: [
    ['qemu-system-x86', 'qemu-utils', 'ipxe-qemu', 'ovmf', 'seabios', 'iproute2'],
    ['debootstrap', 'debian-archive-keyring', 'zstd', 'mount', 'e2fsprogs', 'xfsprogs', 'lvm2'],
    ['fdisk', 'dosfstools', 'mtools', 'grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin'],
    ['btrfs-progs', 'radvd'],
  ].flat(),
  // Peers and tools that the tests hold ours against.
  test: [
    ['dnsmasq-base', 'isc-dhcp-client', 'isc-dhcp-relay', 'kea-admin', 'atftp', 'tftp-hpa', 'curl'],
    ['busybox-static', 'postgresql', 'mdadm', 'gdisk', 'fdisk', 'btrfs-progs', 'openssh-client'],
    ['partclone', 'ntfs-3g', 'openssl'],
    ['chromium-headless-shell', 'fonts-dejavu-core', 'isc-dhcp-server', 'kea-dhcp4-server'],
    ['ceph-mon', 'ceph-osd', 'ceph-common', 'radosgw'],
  ].flat(),
  // The tools that people would use instead.
  bench: [
    ['curl', 'pigz', 'zstd', 'partclone', 'fdisk', 'e2fsprogs', 'nginx-light'],
    ['casync', 'restic', 'borgbackup', 'debootstrap', 'util-linux', 'git'],
  ].flat(),
}

const GOALS = {
  start: ['server', 'initramfs'],
  initramfs: ['initramfs'],
  demo: ['server', 'initramfs', 'lab'],
  test: ['server', 'initramfs', 'lab', 'test'],
  bench: ['server', 'initramfs', 'bench'],
  client: [],
}

/** Installs what is missing of the Debian packages for `goal`; nothing is done when all are there. */
export function installDebianPackages(goal, say) {
  const wanted = [...new Set(GOALS[goal].flatMap((part) => PACKAGES[part]))]
  const missing = wanted.filter((name) => !isInstalled(name))
  if (missing.length === 0) return
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (spawnSync('apt-get', ['--version']).error)
    throw new Error(`Needs the Debian packages ${missing.join(', ')}, but there is no apt-get here`)
  if (process.getuid() !== 0)
    throw new Error(`Needs the Debian packages ${missing.join(', ')}; run as root: ${command}`)
  say(`Installing Debian packages: ${missing.join(' ')}`)
  withoutStartingServices(() => {
    if (!missing.every(isKnown)) run('apt-get', ['update', '-q'])
    run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing])
  })
}

function isInstalled(name) {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], {
    encoding: 'utf8',
  })
  return stdout === 'installed'
}

function isKnown(name) {
  const { stdout } = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' })
  return /Candidate: (?!\(none\))/.test(stdout ?? '')
}

const POLICY = '/usr/sbin/policy-rc.d'

/**
 * Runs `install` with a policy (see invoke-rc.d(8)) that forbids starting services: a test's
 * Postgres or DHCP relay must not begin to serve on the operator's machine.
 */
function withoutStartingServices(install) {
  process.env.DEBIAN_FRONTEND = 'noninteractive'
  const isOurs = !existsSync(POLICY)
  if (isOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (isOurs) rmSync(POLICY, { force: true })
  }
}

function run(command, args) {
  // Another apt may hold the lock (unattended upgrades do): wait for it instead of failing.
  const options = ['-o', 'DPkg::Lock::Timeout=300']
  const { status } = spawnSync(command, [...options, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error(`"${command} ${args.join(' ')}" failed; see its output above`)
}
