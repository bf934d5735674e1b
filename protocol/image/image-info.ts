import { Type, type Static } from 'typebox'
import { ByteCount, ImageName, Sha256Text, Timestamp } from '../shapes.ts'

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
  /** Captured with their free space, and why: encrypted, damaged or unknown content. */
  copiedWhole: Type.Optional(
    Type.Array(
      Type.Object({
        partition: Type.Optional(Type.Integer({ minimum: 1 })),
        /** `Partition 2: its journal has not been replayed`. */
        reason: Type.String(),
      }),
    ),
  ),
  /** In use on the disk, and yet not captured, since no copy needs it. */
  leftOut: Type.Optional(
    Type.Array(
      Type.Object({
        partition: Type.Optional(Type.Integer({ minimum: 1 })),
        /** `swap space`, `page file /pagefile.sys`. */
        what: Type.String(),
        bytes: ByteCount,
      }),
    ),
  ),
})
export type ImageInfo = Static<typeof ImageInfoSchema>

/** What an operator writes about an image. */
export const ImageDescription = Type.String({
  maxLength: 2000,
  examples: ['Debian 13 with nginx, for the web rack'],
})

/** Of an image and of a version: the content, and what it takes. */
export const contentFields = {
  digest: Sha256Text,
  sizeBytes: ByteCount,
  sectorBytes: Type.Integer(),
  /** Compressed bytes of the chunks that it consists of, each once, shared ones included. */
  storedBytes: ByteCount,
  /** Bytes of disk content that are neither zero nor unused. */
  contentBytes: ByteCount,
  /** Compressed bytes that nothing else shares: what removing it frees. null: being counted. */
  uniqueBytes: Type.Union([ByteCount, Type.Null()]),
  createdAt: Timestamp,
}

/** Machines that it is assigned to, and runs that have not ended. */
export const userFields = {
  machines: Type.Array(Type.Object({ mac: Type.String(), name: Type.String() })),
  runs: Type.Array(Type.String()),
}

export const ImageSchema = Type.Object({
  name: ImageName,
  ...contentFields,
  /** Of the name alone: the promoted version; of `name@3`: 3. */
  version: Type.Integer({ minimum: 1 }),
  /** What `name@latest` means. */
  latestVersion: Type.Integer({ minimum: 1 }),
  versionCount: Type.Integer({ minimum: 1 }),
  description: Type.Optional(ImageDescription),
  /** What the file was called that it came from. */
  fileName: Type.Optional(Type.String()),
  info: ImageInfoSchema,
  /** Chunks of it were lost in the store: it cannot be deployed until they are brought again. */
  damaged: Type.Optional(Type.Object({ chunks: Type.Integer({ minimum: 1 }) })),
  /** Why it cannot be deleted: machines that it is assigned to, and runs that have not ended. */
  usedBy: Type.Object(userFields),
})
export type Image = Static<typeof ImageSchema>

/** Only what is there is changed. A new name is followed by the machines that the image is assigned to. */
export const ImageChangeSchema = Type.Object(
  {
    name: Type.Optional(ImageName),
    description: Type.Optional(Type.Union([ImageDescription, Type.Null()])),
  },
  { additionalProperties: false },
)
export type ImageChange = Static<typeof ImageChangeSchema>

export const ImageDirectorySchema = Type.Object({
  /** That was looked into; 0: the disk has none. */
  partition: Type.Integer({ minimum: 0 }),
  /** Logical volume in it, as `group/name`. */
  volume: Type.Optional(Type.String()),
  /** All logical volumes there that can be looked into. */
  volumes: Type.Optional(Type.Array(Type.String())),
  /** With links followed. */
  path: Type.String(),
  items: Type.Array(
    Type.Object({
      name: Type.String(),
      kind: Type.Enum(['file', 'directory', 'symlink', 'other']),
      /** Of a file, if its file system tells that in a list. */
      sizeBytes: Type.Optional(ByteCount),
      target: Type.Optional(Type.String()),
    }),
  ),
})
export type ImageDirectory = Static<typeof ImageDirectorySchema>
