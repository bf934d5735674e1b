import { extentsOf, union, type Extents } from '../extents.ts'
import { readLines } from '../read-lines.ts'
import type { LookContext, RegionView, Surveyor } from '../region.ts'
import {
  createExtentTreeReader,
  parseChunks,
  parseDumpSuper,
  placesOf,
  type BtrfsChunk,
  type BtrfsFacts,
} from './btrfs-extents.ts'

/** Kept free by btrfs, for boot loaders. */
const RESERVED_BYTES = 1024 * 1024
/** Copies of the superblock; the first lies in the reserved part. */
const SUPERBLOCKS_AT = [64 * 1024 ** 2, 256 * 1024 ** 3]
const SUPERBLOCK_BYTES = 4096
const TREE_TIMEOUT_SECONDS = 1800

/**
 * From the extent tree, where btrfs keeps account of every allocated byte. Not from partclone: up to
 * 0.3.23, it takes one copy where metadata has two (its issue 270).
 */
export const surveyBtrfs: Surveyor = async (context, view) => {
  const inspect = ['inspect-internal', 'dump-super', view.path]
  const facts = parseDumpSuper((await context.exec('btrfs', inspect)).stdout)
  const reason = whyNotBtrfs(facts, view.sizeBytes)
  if (reason !== undefined) return { kind: 'whole', reason }
  const dump = ['inspect-internal', 'dump-tree', '--noscan', '-t', 'chunk', view.path]
  const chunks = parseChunks((await context.exec('btrfs', dump)).stdout)
  const logical = await readExtentTree(context, view, { facts, chunks })
  const fixed = extentsOf([
    { start: 0, end: RESERVED_BYTES },
    ...SUPERBLOCKS_AT.filter((at) => at + SUPERBLOCK_BYTES <= view.sizeBytes).map((at) => ({
      start: at,
      end: at + SUPERBLOCK_BYTES,
    })),
    ...behindEnd(facts, view),
  ])
  const used = union(fixed, placesOf(logical, chunks))
  return { kind: 'used', used, leftOut: [], patches: [] }
}

/** A RAID or another tool may keep its own there. */
function behindEnd({ totalBytes: end }: BtrfsFacts, { sizeBytes }: RegionView) {
  return end < sizeBytes ? [{ start: end, end: sizeBytes }] : []
}

async function readExtentTree(
  { signal }: LookContext,
  view: RegionView,
  { facts, chunks }: { facts: BtrfsFacts; chunks: readonly BtrfsChunk[] },
): Promise<Extents> {
  const reader = createExtentTreeReader(facts.nodeBytes, chunks)
  const args = ['inspect-internal', 'dump-tree', '--noscan', '--dfs', '-t', 'extent', view.path]
  const options = { signal, timeoutSeconds: TREE_TIMEOUT_SECONDS }
  await readLines('btrfs', args, options, (line) => reader.line(line))
  if (reader.bytes() !== facts.bytesUsed)
    throw new Error(
      `btrfs lists ${reader.bytes()} bytes where its superblock says ${facts.bytesUsed}`,
    )
  return reader.build()
}

function whyNotBtrfs(facts: BtrfsFacts, sizeBytes: number): string | undefined {
  const { devices, logRoot, totalBytes: end } = facts
  if (!Object.values(facts).every(Number.isSafeInteger)) return 'its superblock is not understood'
  if (devices !== 1) return `it is one of ${devices} devices of a file system`
  if (logRoot !== 0) return 'its log has not been replayed'
  // Nothing else would notice: its trees list what they list, wherever that lies.
  if (end > sizeBytes) return `its file system has ${end} bytes, and there are ${sizeBytes}`
  return undefined
}
