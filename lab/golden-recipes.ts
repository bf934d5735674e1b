/** The golden images: what differs between the systems that the lab captures and deploys. */
export type GoldenName = 'a' | 'b' | 'c' | 'd'

export type GoldenRecipe = {
  /** What it is, for people. */
  title: string
  hostname: string
  sizeBytes: number
  table: 'gpt' | 'dos'
  fileSystem: 'ext4' | 'xfs' | 'btrfs'
  /** btrfs: where the root is. */
  subvolume?: string
  /** UUID of the root file system. */
  rootUuid: string
  /** Volume group and logical volume that hold the root, if any. */
  lvm?: { group: string; volume: string }
  /** Debian packages on top of the common ones. */
  packages: string[]
  /** Files of the system, path to text. */
  files: Record<string, string>
  kernelArguments: string
}

/** Card of the machine on which the images were "set up by hand"; two of them match it by MAC. */
export const GOLDEN_MAC = '52:54:00:5a:00:0a'

/** Volume ID of every EFI system partition, as mkfs.vfat takes and blkid prints it. */
export const ESP_VOLUME_ID = 'A11CE5ED'

/** Of the installed systems; they exist only inside the lab. */
export const GOLDEN_PASSWORD = 'stampede'

const GIB = 1024 ** 3

const ROOT_UUID_D = '0d0d0d0d-5d5d-4d5d-8d5d-0d0d0d0d0d0d'

export const GOLDEN_RECIPES: Record<GoldenName, GoldenRecipe> = {
  a: {
    title: 'GPT, UEFI and BIOS, LVM, ext4, netplan',
    hostname: 'golden-a',
    sizeBytes: 4 * GIB,
    table: 'gpt',
    fileSystem: 'ext4',
    rootUuid: '0a0a0a0a-5a5a-4a5a-8a5a-0a0a0a0a0a0a',
    lvm: { group: 'golden', volume: 'root' },
    packages: ['netplan.io', 'lvm2', 'cloud-guest-utils', 'e2fsprogs'],
    files: {
      '/etc/netplan/50-lan.yaml': `network:
  version: 2
  ethernets:
    lan:
      match:
        macaddress: "${GOLDEN_MAC}"
      dhcp4: true
`,
    },
    kernelArguments: '',
  },
  b: {
    title: 'MBR, BIOS, plain ext4, ifupdown, no growpart',
    hostname: 'golden-b',
    sizeBytes: 3 * GIB,
    table: 'dos',
    fileSystem: 'ext4',
    rootUuid: '0b0b0b0b-5b5b-4b5b-8b5b-0b0b0b0b0b0b',
    packages: ['ifupdown', 'isc-dhcp-client', 'e2fsprogs'],
    files: {
      '/etc/network/interfaces': `auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
`,
    },
    kernelArguments: 'net.ifnames=0',
  },
  c: {
    title: 'GPT, UEFI and BIOS, XFS, NetworkManager',
    hostname: 'golden-c',
    sizeBytes: 4 * GIB,
    table: 'gpt',
    fileSystem: 'xfs',
    rootUuid: '0c0c0c0c-5c5c-4c5c-8c5c-0c0c0c0c0c0c',
    packages: ['network-manager', 'xfsprogs', 'cloud-guest-utils'],
    files: {
      '/etc/NetworkManager/system-connections/lan.nmconnection': `[connection]
id=lan
uuid=0c0c0c0c-1a1a-4a1a-8a1a-0c0c0c0c0c0c
type=ethernet

[ethernet]
mac-address=${GOLDEN_MAC.toUpperCase()}

[ipv4]
method=auto

[ipv6]
method=link-local
`,
    },
    kernelArguments: '',
  },
  d: {
    title: 'GPT, UEFI and BIOS, btrfs with subvolumes, ifupdown',
    hostname: 'golden-d',
    sizeBytes: 4 * GIB,
    table: 'gpt',
    fileSystem: 'btrfs',
    subvolume: '@',
    rootUuid: ROOT_UUID_D,
    packages: ['ifupdown', 'isc-dhcp-client', 'btrfs-progs', 'cloud-guest-utils'],
    files: {
      '/etc/fstab': `UUID=${ROOT_UUID_D} / btrfs defaults,subvol=@ 0 0
UUID=${ROOT_UUID_D} /home btrfs defaults,subvol=@home 0 0
UUID=A11C-E5ED /boot/efi vfat umask=0077 0 2
`,
      // GRUB's paths begin at the top of the file system, above all subvolumes.
      '/boot/grub/grub.cfg': `set timeout=0
menuentry "Debian" {
  linux /@/vmlinuz root=UUID=${ROOT_UUID_D} rootflags=subvol=@ ro console=tty0 console=ttyS0,115200 loglevel=4 net.ifnames=0
  initrd /@/initrd.img
}
`,
      '/etc/network/interfaces': `auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
`,
    },
    kernelArguments: '',
  },
}

/** The suite that every image is made of. */
export const SUITE = 'bookworm'

export const COMMON_PACKAGES = [
  'systemd-sysv',
  'udev',
  'dbus',
  'initramfs-tools',
  'linux-image-amd64',
  'zstd',
  'kmod',
  'iproute2',
  'iputils-ping',
  'openssh-server',
  'fdisk',
]

/**
 * The kernel's modules that a virtual machine needs. The others are most of an image, and all of it
 * is compressed and hashed under emulation.
 */
const MODULES = [
  'arch crypto lib fs/ext4 fs/jbd2 fs/mbcache fs/xfs fs/btrfs fs/fat fs/nls fs/fuse fs/autofs fs/configfs',
  'fs/efivarfs fs/isofs drivers/acpi drivers/ata drivers/block drivers/cdrom drivers/char',
  'drivers/firmware drivers/hid drivers/input drivers/md drivers/net/ethernet/intel/e1000',
  'drivers/net/virtio_net drivers/net/net_failover drivers/nvme drivers/rtc drivers/scsi',
  'drivers/usb/common drivers/usb/core drivers/usb/host drivers/usb/storage drivers/virtio',
  // SATA, SCSI and NVMe disks need t10-pi of `block`.
  'block net/core net/packet net/ipv6',
].flatMap((line) => line.split(' '))

/** Of `drivers/scsi`, the host adapters; the lab's machines have virtio. */
const SCSI_ADAPTERS = 'aic bfa be2 bnx csio cxgbi fnic isci lpfc mega mpi mpt mvs pm8 qed qla snic'

/** What dpkg leaves out, and what of that it keeps after all; the last that matches counts. */
export const DPKG_FILTERS = [
  'path-exclude=/usr/share/doc/*',
  'path-exclude=/usr/share/man/*',
  'path-exclude=/usr/share/info/*',
  'path-exclude=/usr/share/locale/*',
  'path-exclude=/usr/lib/udev/hwdb.d/*',
  'path-exclude=/lib/modules/*/kernel/*',
  ...MODULES.map((name) => `path-include=/lib/modules/*/kernel/${name}*`),
  ...SCSI_ADAPTERS.split(' ').map(
    (name) => `path-exclude=/lib/modules/*/kernel/drivers/scsi/${name}*`,
  ),
]

/** Units that a lab machine has no use for and that cost seconds under emulation. */
export const MASKED_UNITS = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dev-hugepages.mount',
  'dev-mqueue.mount',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'NetworkManager-wait-online.service',
  'systemd-networkd-wait-online.service',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'systemd-pstore.service',
]
