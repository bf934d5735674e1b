/** What goes into the initramfs: Debian packages, the tools taken from them, and kernel modules. */

const words = (text: string) => text.trim().split(/\s+/)

/** The release that kernel and tools come from, whatever the building host runs. */
export const DEBIAN_SUITE = 'bookworm'

/** The kernel: Debian's full one, since the cloud flavour lacks the drivers of real machines. */
export const KERNEL_PACKAGE = 'linux-image-amd64'

/** Packages whose files are used; the shared libraries that they depend on are found from these. */
export const PACKAGES = [
  KERNEL_PACKAGE,
  'btrfs-progs',
  'busybox-static',
  'cloud-guest-utils',
  'dmidecode',
  'dmsetup',
  'dosfstools',
  'e2fsprogs',
  'efibootmgr',
  'fdisk',
  'gdisk',
  'libstdc++6',
  'lvm2',
  'mdadm',
  'mount',
  'ntfs-3g',
  'partclone',
  'util-linux',
  'xfsprogs',
]

/**
 * Dependencies that only maintainer scripts or programs we leave behind need; the largest are
 * perl, python3 (cloud-guest-utils) and ICU (xfs_scrub).
 */
export const UNUSED_DEPENDENCIES =
  /^(adduser|coreutils|cpio|debconf|dpkg|initramfs-tools.*|init-system-helpers|klibc-utils|libklibc|linux-base|logsave|lsb-base|media-types|passwd|perl.*|.*-perl|libperl.*|python3.*|libpython.*|libicu.*|libdb5.*|libsqlite.*|libkrb5.*|libk5.*|libgssapi.*|libpam.*|sysvinit-utils|tar|udev|usrmerge)$/

/** Programs, wherever they are below the packages' bin and sbin folders. Busybox fills the gaps. */
export const TOOLS = words(`
  addpart blkdiscard blkid blockdev delpart findmnt fsfreeze fstrim
  flock losetup lsblk mount partx resizepart sfdisk umount unshare wipefs
  dmsetup lvm mdadm sgdisk growpart efibootmgr dmidecode
  debugfs dumpe2fs e2fsck e2image mke2fs resize2fs tune2fs
  mkfs.xfs xfs_db xfs_growfs xfs_io xfs_logprint xfs_repair
  btrfs btrfstune mkfs.btrfs fatlabel fsck.fat mkfs.fat
  ntfscluster ntfsinfo ntfsls ntfsresize
  partclone.btrfs partclone.exfat partclone.extfs partclone.fat partclone.ntfs
  partclone.xfs
`)

/** Other names of a tool, which it acts by. */
export const TOOL_ALIASES: Record<string, string[]> = {
  lvm: ['lvchange', 'lvextend', 'lvresize', 'lvs', 'pvresize', 'pvs', 'vgchange', 'vgs'],
  e2fsck: ['fsck.ext2', 'fsck.ext3', 'fsck.ext4'],
  mke2fs: ['mkfs.ext2', 'mkfs.ext3', 'mkfs.ext4'],
  tune2fs: ['e2label'],
  'fsck.fat': ['fsck.vfat'],
  'mkfs.fat': ['mkfs.vfat'],
  'partclone.extfs': ['partclone.ext2', 'partclone.ext3', 'partclone.ext4'],
  'partclone.fat': ['partclone.fat12', 'partclone.fat16', 'partclone.fat32', 'partclone.vfat'],
}

/** Configuration files that tools read. */
export const DATA_FILES = ['etc/mke2fs.conf']

const NETWORK_MODULES = words(`
  virtio_net vmxnet3 hv_netvsc xen-netfront ena gve mana
  e1000 e1000e igb igc ixgbe i40e ice igbvf ixgbevf iavf
  r8169 realtek 8139cp 8139too tg3 broadcom bnx2 bnx2x bnxt_en
  mlx4_en mlx5_core cxgb4 sfc qlcnic qede be2net enic hinic atlantic
  dwmac-intel amd-xgbe forcedeth sky2 skge alx atl1c jme
  pcnet32 tulip e100 ne2k-pci 3c59x via-rhine via-velocity sis900 sis190
  r8152 ax88179_178a asix ax88796b aqc111 cdc_ether cdc_ncm
  lan78xx smsc95xx smsc
`)

const DISK_MODULES = words(`
  virtio_blk virtio_scsi vmw_pvscsi hv_storvsc xen-blkfront
  ahci ata_generic ata_piix sata_mv sata_nv sata_sil sata_sil24 sata_via
  pata_ali pata_amd pata_atiixp pata_jmicron pata_marvell pata_oldpiix
  pata_rdc pata_sch pata_serverworks pata_sil680 pata_sis pata_via
  nvme vmd mmc_block sdhci_acpi sdhci_pci ufshcd-pci
  mpi3mr mpt3sas mptsas mptspi megaraid_mbox megaraid_sas aacraid arcmsr
  hpsa hptiop isci mvsas mvumi pm80xx smartpqi stex
  sym53c8xx am53c974 aic7xxx aic79xx 3w-9xxx 3w-sas
  sd_mod uas usb_storage
`)

const BUS_MODULES = words(`
  virtio_pci virtio_rng hv_vmbus xhci_pci ehci_pci ohci_pci uhci_hcd
  usbhid hid_generic hyperv_keyboard hid-hyperv efivarfs tpm_tis tpm_crb
  i8042 atkbd
`)

// File systems ask for these by alias when they are mounted, so no dependency names them.
const FILE_SYSTEM_MODULES = words(`
  ext4 xfs btrfs vfat nls_ascii nls_cp437 nls_iso8859-1 nls_utf8
  dm_mod dm_mirror dm_raid dm_snapshot dm_thin_pool
  md_mod linear raid0 raid1 raid10 raid456 loop fuse
  crc32_pclmul crc32c_generic crc32c_intel libcrc32c
  blake2b_generic sha256_generic xxhash_generic
`)

/** Modules by name; what they depend on comes with them. Built-in ones are fine. */
export const MODULES = [...BUS_MODULES, ...NETWORK_MODULES, ...DISK_MODULES, ...FILE_SYSTEM_MODULES]

/** Where the optional firmware comes from; only files that a module above names are taken. */
export const FIRMWARE_PACKAGES = [
  'firmware-bnx2',
  'firmware-bnx2x',
  'firmware-misc-nonfree',
  'firmware-qlogic',
  'firmware-realtek',
]
export const FIRMWARE_COMPONENT = 'non-free-firmware'
