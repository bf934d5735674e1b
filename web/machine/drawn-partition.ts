import type { Partition } from '#protocol/machine/inventory.ts'
import type { DrawnPartition } from '../components/disk-layout.ts'

/** A partition of an inventory as it is drawn. */
export function drawnPartition(partition: Partition): DrawnPartition {
  const { number, startBytes, sizeBytes, name, fileSystem } = partition
  return {
    number,
    startBytes,
    sizeBytes,
    name,
    label: fileSystem?.label,
    fileSystem: fileSystem?.type,
  }
}
