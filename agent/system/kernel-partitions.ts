import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isExtended, type Layout } from '#protocol/disk/disk-layout.ts'

const SYSFS_CLASS = '/sys/class/block'
/** Starts and sizes in sysfs count these, whatever the disk's sectors. */
const SYSFS_SECTOR_BYTES = 512

/**
 * Throws if the kernel still has partitions of an older table: a device node then leads to other
 * bytes of the disk than the partition of that number, and what is written through it destroys others.
 */
export async function checkKernelPartitions(layout: Layout): Promise<void> {
  for (const partition of layout.partitions) {
    // The kernel shows two sectors of an extended partition, whatever its size.
    if (isExtended(layout, partition)) continue
    const { path, startSector, sizeSectors } = partition
    const start = await readBytes(path, 'start')
    const size = await readBytes(path, 'size')
    if (start === undefined || size === undefined) continue // there is no node to go wrong with
    const startBytes = startSector * layout.sectorBytes
    const sizeBytes = sizeSectors * layout.sectorBytes
    if (start === startBytes && size === sizeBytes) continue
    throw new Error(
      `The kernel has ${path} at byte ${start} with ${size} bytes, but the partition table has it at byte ${startBytes} with ${sizeBytes}; it could not read the new table`,
    )
  }
}

async function readBytes(path: string, attribute: 'start' | 'size'): Promise<number | undefined> {
  const place = join(SYSFS_CLASS, basename(path), attribute)
  const text = await readFile(place, 'latin1').catch(() => undefined)
  return text === undefined ? undefined : Number(text) * SYSFS_SECTOR_BYTES
}
