import { GptDecodeError } from '#protocol/disk/gpt.ts'
import { MBR_BYTES, hybridPartitions, parsePartitionTable } from '#protocol/disk/partition-table.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import type { Device } from '../disk/device.ts'
import { findContent } from '../system/probe.ts'
import { VERITY_HASHES } from '../system/verity.ts'
import type { ByteSpan } from './extents.ts'
import { reasonOf } from './reason.ts'
import type { LookContext } from './region.ts'
import { openView, peek } from './view.ts'

/** A disk as it is known, and what it is read from. */
interface OpenDisk {
  device: Device
  disk: Disk
}

/**
 * Why the partitions of a disk may not be what is on it. A member of a RAID keeps its first sector, and in it the
 * partitions from before, or those of the RAID, which go on on other disks. Both look sound from their beginnings.
 */
export async function findDoubt({
  device,
  disk,
  exec,
  signal,
}: OpenDisk & LookContext): Promise<string | undefined> {
  if (disk.partitionTable.type === 'none') return undefined
  // dm-verity has hashes of all blocks, those in which a file system has nothing included.
  const hashes = disk.partitions.find(({ fileSystem }) => fileSystem?.type === VERITY_HASHES)
  if (hashes) return `partition ${hashes.number} has hashes of another one, free space included`
  const region = { name: 'The disk', start: 0, end: device.sizeBytes }
  try {
    await using view = await openView(exec, { device, sectorBytes: disk.sectorBytes, region })
    const content = await findContent(exec, view.path)
    return content && `a partition table and "${content.type}" are both on it`
  } catch (err) {
    signal.throwIfAborted()
    return reasonOf(err)
  }
}

/** Why a partition table that is there tells of no partitions. */
export async function findTableFault({ device, disk }: OpenDisk): Promise<string | undefined> {
  try {
    parsePartitionTable(
      await peek(device, 0, Math.min(CHUNK_BYTES, device.sizeBytes)),
      disk.sectorBytes,
    )
    return undefined
  } catch (err) {
    if (!(err instanceof GptDecodeError)) throw err
    return `its partition table is not understood: ${err.message}`
  }
}

/** Partitions that the MBR of a disk with a GPT lists, too. */
export async function hybridSpans({ device, disk }: OpenDisk): Promise<ByteSpan[]> {
  if (disk.partitionTable.type !== 'gpt') return []
  const found = hybridPartitions(await peek(device, 0, MBR_BYTES), disk.sectorBytes)
  return found.map(({ startBytes, sizeBytes }) => ({
    start: startBytes,
    end: startBytes + sizeBytes,
  }))
}
