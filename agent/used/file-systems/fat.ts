import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

/** BS_Reserved1 of the boot sector: Windows, Linux and fsck.fat set its lowest bit on a mount. */
const DIRTY_AT_FAT16 = 0x25
const DIRTY_AT_FAT32 = 0x41
/** BPB_FATSz16, which is 0 on FAT32 alone. */
const FAT_SIZE_16_AT = 0x16
const BOOT_SECTOR_BYTES = 512

export const surveyFat: Surveyor = async (context, view) => {
  if (isDirtyFat(await view.peek(0, BOOT_SECTOR_BYTES)))
    return { kind: 'whole', reason: 'it was not unmounted' }
  return { kind: 'used', used: await mapUsed(context, 'fat', view), leftOut: [], patches: [] }
}

export function isDirtyFat(bootSector: Buffer): boolean {
  const isFat32 = bootSector.readUInt16LE(FAT_SIZE_16_AT) === 0
  return (bootSector[isFat32 ? DIRTY_AT_FAT32 : DIRTY_AT_FAT16]! & 1) !== 0
}
