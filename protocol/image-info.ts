import { Type, type Static } from 'typebox'
import { ByteCount, ImageName, Sha256Text, Timestamp } from './shapes.ts'

/** What a capture or an import learnt of an image; kept beside the manifest, outside the digest. */

export const ImagePartitionSchema = Type.Object({
  number: Type.Integer({ minimum: 1 }),
  startBytes: ByteCount,
  sizeBytes: ByteCount,
  /** GPT: the type GUID in lower case; MBR: `0x83`. */
  type: Type.String(),
  uuid: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  /** As blkid calls it: `ext4`, `xfs`, `btrfs`, `vfat`, `LVM2_member`, … */
  fileSystem: Type.Optional(Type.String()),
  label: Type.Optional(Type.String()),
})
export type ImagePartition = Static<typeof ImagePartitionSchema>

export const BootModeSchema = Type.Enum(['bios', 'uefi'])
export type BootMode = Static<typeof BootModeSchema>

export const ImageInfoSchema = Type.Object({
  partitionTable: Type.Optional(Type.Enum(['gpt', 'mbr', 'none'])),
  partitions: Type.Optional(Type.Array(ImagePartitionSchema)),
  /** Firmware kinds that the image can boot on, as far as could be told; empty: none found. */
  bootModes: Type.Optional(Type.Array(BootModeSchema)),
  /** As `uname -m` prints it: `x86_64`, `aarch64`. */
  architecture: Type.Optional(Type.String()),
  /** PRETTY_NAME of os-release. */
  operatingSystem: Type.Optional(Type.String()),
  /** `capture of 52:54:…`, `upload of debian.qcow2`. */
  source: Type.Optional(Type.String()),
  /** LVM path of the root volume such as `/dev/vg/root`, if the root is a logical volume. */
  rootVolume: Type.Optional(Type.String()),
  rootPartition: Type.Optional(Type.Integer({ minimum: 1 })),
})
export type ImageInfo = Static<typeof ImageInfoSchema>

export const ImageSchema = Type.Object({
  name: ImageName,
  digest: Sha256Text,
  sizeBytes: ByteCount,
  sectorBytes: Type.Integer(),
  /** Compressed bytes of the chunks that this image consists of, shared ones included. */
  storedBytes: ByteCount,
  /** Bytes of disk content that are neither zero nor unused. */
  contentBytes: ByteCount,
  createdAt: Timestamp,
  info: ImageInfoSchema,
})
export type Image = Static<typeof ImageSchema>

export const ImageLinkSchema = Type.Object({
  /** Needs no header: `http://…/l/{token}/{name}.img.gz`. */
  url: Type.String(),
  expiresAt: Timestamp,
})
