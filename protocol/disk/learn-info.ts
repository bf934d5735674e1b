import { GptDecodeError } from './gpt.ts'
import type { ImageInfo } from '../image/image-info.ts'
import { bootModes, parsePartitionTable } from './partition-table.ts'

/** What the first bytes of a disk tell; nothing of a table that is damaged. */
export function learnInfo(head: Uint8Array, sectorBytes: number): ImageInfo {
  try {
    const table = parsePartitionTable(head, sectorBytes)
    return { partitionTable: table.kind, partitions: table.partitions, bootModes: bootModes(table) }
  } catch (err) {
    if (err instanceof GptDecodeError) return {}
    throw err
  }
}
