import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

const BOOT_SECTOR_BYTES = 512
/** BS_Reserved1 of the boot sector: Windows, Linux and fsck.fat set its lowest bit on a mount. */
const DIRTY_AT_FAT16 = 0x25
const DIRTY_AT_FAT32 = 0x41
/** Of a FAT32: that only one of its tables is kept, by the number in the lowest bits. */
const FLAGS_AT_FAT32 = 0x28
const MIRRORING_IS_OFF = 0x80
/** BS_BootSig of a FAT12 or FAT16; without one, partclone goes by a byte that may be one of the boot code. */
const SIGNATURE_AT_FAT16 = 0x26
const HAS_NAMES = 0x29
/** Fewer clusters make a FAT12, whatever else a volume says of itself (Microsoft's FAT specification). */
const MIN_FAT16_CLUSTERS = 4085
const ROOT_ENTRY_BYTES = 32

export const surveyFat: Surveyor = async (context, view) => {
  const bootSector = await view.peek(0, BOOT_SECTOR_BYTES)
  const reason = whyNotFat(bootSector)
  if (reason !== undefined) return { kind: 'whole', reason }
  return { kind: 'used', used: await mapUsed(context, 'fat', view), leftOut: [], patches: [] }
}

/** Why partclone should not be asked. */
function whyNotFat(bootSector: Buffer): string | undefined {
  const isFat32 = bootSector.readUInt16LE(0x16) === 0 // BPB_FATSz16
  if ((bootSector[isFat32 ? DIRTY_AT_FAT32 : DIRTY_AT_FAT16]! & 1) !== 0)
    return 'it was not unmounted'
  if (isFat32 && (bootSector.readUInt16LE(FLAGS_AT_FAT32) & MIRRORING_IS_OFF) !== 0)
    return 'only one of its tables is kept, and partclone reads the first'
  if (!isFat32 && clusterCount(bootSector) < MIN_FAT16_CLUSTERS)
    return 'it is a FAT12, whose table partclone misreads'
  if (!isFat32 && bootSector[SIGNATURE_AT_FAT16] !== HAS_NAMES)
    return 'it is a FAT16 that does not say so, which partclone may take for a FAT32'
  return undefined
}

function clusterCount(bootSector: Buffer): number {
  const sectorBytes = bootSector.readUInt16LE(0x0b)
  const reserved = bootSector.readUInt16LE(0x0e)
  const tables = bootSector[0x10]! * bootSector.readUInt16LE(0x16)
  const root = Math.ceil((bootSector.readUInt16LE(0x11) * ROOT_ENTRY_BYTES) / sectorBytes)
  const sectors = bootSector.readUInt16LE(0x13) || bootSector.readUInt32LE(0x20)
  return (sectors - reserved - tables - root) / bootSector[0x0d]!
}
