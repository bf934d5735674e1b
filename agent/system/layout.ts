import type { Layout } from '#protocol/disk/disk-layout.ts'
import { MBR_BYTES, hybridPartitions } from '#protocol/disk/partition-table.ts'
import type { Exec } from '../exec.ts'
import { partitionPath } from '../steps/step.ts'
import { readBytes } from './read-bytes.ts'

type SfdiskTable = {
  label: string
  sectorsize?: number
  lastlba?: number
  partitions?: { node: string; start: number; size: number; type: string }[]
}

export function parseSfdiskJson(text: string, diskPath: string): Layout {
  const { partitiontable: table } = JSON.parse(text) as { partitiontable: SfdiskTable }
  const partitions = (table.partitions ?? []).map(({ node, start, size, type }) => {
    const number = Number(/\d+$/.exec(node)?.[0])
    const path = partitionPath(diskPath, number)
    return { number, path, startSector: start, sizeSectors: size, type: type.toLowerCase() }
  })
  return {
    table: table.label === 'gpt' ? 'gpt' : table.label === 'dos' ? 'mbr' : 'none',
    sectorBytes: table.sectorsize ?? 512,
    partitions: partitions.toSorted((one, other) => one.startSector - other.startSector),
    ...(table.lastlba !== undefined && { usableEnd: table.lastlba + 1 }),
  }
}

/** Reads the table of a disk; a disk without one has the kind `none` and no partitions. */
export async function readLayout(exec: Exec, diskPath: string): Promise<Layout> {
  const { stdout, exitCode } = await exec('sfdisk', ['--json', diskPath], { allowExitCodes: [1] })
  if (exitCode !== 0) return { table: 'none', sectorBytes: 512, partitions: [] }
  const layout = parseSfdiskJson(stdout, diskPath)
  if (layout.table !== 'gpt') return layout
  const hybridEnd = await findHybridEnd(diskPath, layout.sectorBytes)
  return { ...layout, ...(hybridEnd !== undefined && { hybridEnd }) }
}

/** sfdisk tells nothing of what the MBR of a disk with a GPT lists besides. */
async function findHybridEnd(diskPath: string, sectorBytes: number): Promise<number | undefined> {
  const head = await readBytes(diskPath, 0, MBR_BYTES)
  const ends = hybridPartitions(head, sectorBytes).map(
    ({ startBytes, sizeBytes }) => (startBytes + sizeBytes) / sectorBytes,
  )
  return ends.length === 0 ? undefined : Math.max(...ends)
}
