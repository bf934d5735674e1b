import { Type, type Static } from 'typebox'
import { ByteCount, Sha256Text, Timestamp } from '../shapes.ts'

/** What the agent tells of the machine that it runs on. Nothing is written to learn it. */

const Text = Type.Optional(Type.String())

export const FileSystemSchema = Type.Object({
  /** As blkid calls it: `ext4`, `xfs`, `LVM2_member`, `linux_raid_member`, `swap`, … */
  type: Type.String(),
  uuid: Text,
  label: Text,
})
export type FileSystem = Static<typeof FileSystemSchema>

export const PartitionSchema = Type.Object({
  number: Type.Integer({ minimum: 1 }),
  path: Type.String(),
  startBytes: ByteCount,
  sizeBytes: ByteCount,
  /** GPT: the type GUID in lower case; MBR: `0x83`. */
  type: Text,
  uuid: Text,
  name: Text,
  fileSystem: Type.Optional(FileSystemSchema),
})
export type Partition = Static<typeof PartitionSchema>

export const DiskSchema = Type.Object({
  /** `/dev/sda`, `/dev/nvme0n1`. */
  path: Type.String(),
  model: Text,
  vendor: Text,
  serial: Text,
  wwn: Text,
  sizeBytes: ByteCount,
  /** Logical sector size: what a partition table counts in. */
  sectorBytes: Type.Integer({ minimum: 512 }),
  physicalSectorBytes: Type.Optional(Type.Integer({ minimum: 512 })),
  rotational: Type.Boolean(),
  removable: Type.Boolean(),
  readOnly: Type.Boolean(),
  /** `virtio`, `sata`, `nvme`, `scsi`, `usb`, `mmc`, `loop` or what else sysfs tells. */
  transport: Text,
  /** Why the disk is in use by the running system, if it is: mounted, swap, holder, … */
  busy: Text,
  partitionTable: Type.Object({
    type: Type.Enum(['gpt', 'mbr', 'none']),
    uuid: Text,
  }),
  partitions: Type.Array(PartitionSchema),
  /** A file system, PV or RAID member directly on the disk. */
  fileSystem: Type.Optional(FileSystemSchema),
  /** Why it is not known what is on the disk: its beginning cannot be read, or its partition table is damaged. */
  layoutError: Text,
  /**
   * SHA-256 of table type, GUIDs, starts, sizes, and each partition's type, UUID and label: two
   * inventories with the same fingerprint describe the same layout.
   */
  fingerprint: Sha256Text,
})
export type Disk = Static<typeof DiskSchema>

export const InventorySchema = Type.Object({
  at: Timestamp,
  agentVersion: Type.String(),
  firmware: Type.Enum(['bios', 'uefi']),
  secureBoot: Type.Optional(Type.Boolean()),
  /** As `uname -m` prints it. */
  architecture: Type.String(),
  kernel: Text,
  smbios: Type.Object({
    uuid: Text,
    manufacturer: Text,
    product: Text,
    serial: Text,
    boardSerial: Text,
    assetTag: Text,
    biosVendor: Text,
    biosVersion: Text,
    biosDate: Text,
  }),
  cpu: Type.Object({
    model: Text,
    sockets: Type.Integer({ minimum: 0 }),
    cores: Type.Integer({ minimum: 0 }),
    threads: Type.Integer({ minimum: 0 }),
  }),
  memoryBytes: ByteCount,
  disks: Type.Array(DiskSchema),
  nics: Type.Array(
    Type.Object({
      name: Type.String(),
      mac: Type.String(),
      link: Type.Boolean(),
      speedMbps: Type.Optional(Type.Integer()),
      driver: Text,
      addresses: Type.Array(Type.String()),
    }),
  ),
  tpm: Type.Optional(Type.Object({ version: Text })),
})
export type Inventory = Static<typeof InventorySchema>
