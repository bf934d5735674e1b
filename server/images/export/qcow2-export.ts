import {
  CHUNK_BYTES,
  chunkLength,
  SEGMENT_CHUNKS,
  segmentLength,
  isStored,
} from '#protocol/image/image.ts'
import { type DiskContent, readDiskChunk, readSegment } from './disk-content.ts'
import { type ExportPart, skippedPart } from './export-parts.ts'

/**
 * A qcow2 file (QEMU's docs/interop/qcow2.txt, version 3) that is written from front to back: all of its
 * tables follow from which chunks there are, and the clusters of these follow the tables in disk order.
 * So its length is known beforehand, any range of it can be served, and nothing is spooled. Chunks of
 * zeros are left out.
 *
 *     header | refcount table | refcount blocks | L1 table | L2 tables | clusters
 */
const CLUSTER_BITS = 16
const CLUSTER_BYTES = 2 ** CLUSTER_BITS
const CHUNK_CLUSTERS = CHUNK_BYTES / CLUSTER_BYTES
/** An L2 table is one cluster of 8-byte entries. */
const L2_ENTRIES = CLUSTER_BYTES / 8
const L2_CHUNKS = L2_ENTRIES / CHUNK_CLUSTERS
const SEGMENT_TABLES = SEGMENT_CHUNKS / L2_CHUNKS
/** 16 bits each. */
const REFCOUNT_BLOCK_ENTRIES = CLUSTER_BYTES / 2
const HEADER_BYTES = 104
/** Its refcount is exactly one: nothing has to look there before it writes. */
const COPIED = 1n << 63n

/** What of a segment the file holds. */
interface SegmentFigures {
  /** Of its L2 tables, one a byte: whether there is one. */
  tables: Uint8Array
  tableCount: number
  dataClusters: number
}

export interface Qcow2Plan {
  totalBytes: number
  segments: readonly SegmentFigures[]
  /** Where each part begins, in clusters. */
  refcountTable: number
  refcountBlocks: number
  l1Table: number
  l2Tables: number
  data: number
  total: number
}

/** Reads every segment once, and no other chunk. */
export async function planQcow2(disk: DiskContent): Promise<Qcow2Plan> {
  const segments: SegmentFigures[] = []
  for (const index of disk.segments.keys()) segments.push(await measureSegment(disk, index))
  const l1Clusters = clustersOf(l1EntryCount(disk) * 8)
  const l2Clusters = segments.reduce((sum, { tableCount }) => sum + tableCount, 0)
  const dataClusters = segments.reduce((sum, each) => sum + each.dataClusters, 0)
  // The refcounts count their own clusters too.
  let blocks = 1
  let tableClusters = 1
  for (;;) {
    const total = 1 + tableClusters + blocks + l1Clusters + l2Clusters + dataClusters
    const neededBlocks = Math.ceil(total / REFCOUNT_BLOCK_ENTRIES)
    const neededTable = clustersOf(neededBlocks * 8)
    if (neededBlocks <= blocks && neededTable <= tableClusters) break
    blocks = neededBlocks
    tableClusters = neededTable
  }
  const refcountBlocks = 1 + tableClusters
  const l1Table = refcountBlocks + blocks
  const l2Tables = l1Table + l1Clusters
  const data = l2Tables + l2Clusters
  const total = data + dataClusters
  const totalBytes = total * CLUSTER_BYTES
  return { totalBytes, segments, refcountTable: 1, refcountBlocks, l1Table, l2Tables, data, total }
}

async function measureSegment(disk: DiskContent, index: number): Promise<SegmentFigures> {
  const tables = new Uint8Array(SEGMENT_TABLES)
  const references = await readSegment(disk, index)
  let dataClusters = 0
  references?.forEach((reference, at) => {
    if (!isStored(reference)) return
    tables[Math.floor(at / L2_CHUNKS)] = 1
    dataClusters += chunkClusters(disk, index * SEGMENT_CHUNKS + at)
  })
  return { tables, tableCount: tables.reduce((sum, one) => sum + one, 0), dataClusters }
}

function chunkClusters({ sizeBytes }: DiskContent, index: number): number {
  return clustersOf(chunkLength(sizeBytes, index))
}

function clustersOf(byteCount: number): number {
  return Math.ceil(byteCount / CLUSTER_BYTES)
}

function l1EntryCount({ sizeBytes }: DiskContent): number {
  return Math.ceil(sizeBytes / (L2_ENTRIES * CLUSTER_BYTES))
}

/** The file from its first byte on; what ends before `start` is skipped in large parts. */
export async function* qcow2Parts(
  disk: DiskContent,
  plan: Qcow2Plan,
  start: number,
): AsyncGenerator<ExportPart> {
  yield constant(() => encodeHeader(disk, plan))
  for (let at = plan.refcountTable; at < plan.refcountBlocks; at++)
    yield constant(() => encodeRefcountTable(plan, at - plan.refcountTable))
  for (let at = plan.refcountBlocks; at < plan.l1Table; at++)
    yield constant(() => encodeRefcountBlock(plan, at - plan.refcountBlocks))
  yield {
    length: (plan.l2Tables - plan.l1Table) * CLUSTER_BYTES,
    load: async () => encodeL1(disk, plan),
  }
  yield* l2Parts(disk, plan, start)
  yield* dataParts(disk, plan, start)
}

function constant(encode: () => Uint8Array): ExportPart {
  return { length: CLUSTER_BYTES, load: async () => encode() }
}

function encodeHeader(disk: DiskContent, plan: Qcow2Plan): Uint8Array {
  const header = Buffer.alloc(CLUSTER_BYTES)
  header.write('QFI\xfb', 0, 'latin1')
  header.writeUInt32BE(3, 4)
  header.writeUInt32BE(CLUSTER_BITS, 20)
  header.writeBigUInt64BE(BigInt(disk.sizeBytes), 24)
  header.writeUInt32BE(l1EntryCount(disk), 36)
  header.writeBigUInt64BE(byteOffset(plan.l1Table), 40)
  header.writeBigUInt64BE(byteOffset(plan.refcountTable), 48)
  header.writeUInt32BE(plan.refcountBlocks - plan.refcountTable, 56)
  header.writeUInt32BE(4, 96) // refcounts of 2⁴ bits
  header.writeUInt32BE(HEADER_BYTES, 100)
  return header // followed by the empty header extension, eight zeros
}

function encodeRefcountTable(plan: Qcow2Plan, clusterIndex: number): Uint8Array {
  const table = Buffer.alloc(CLUSTER_BYTES)
  const blocks = plan.l1Table - plan.refcountBlocks
  const first = (clusterIndex * CLUSTER_BYTES) / 8
  for (let at = first; at < Math.min(blocks, first + CLUSTER_BYTES / 8); at++)
    table.writeBigUInt64BE(byteOffset(plan.refcountBlocks + at), (at - first) * 8)
  return table
}

function encodeRefcountBlock(plan: Qcow2Plan, blockIndex: number): Uint8Array {
  const block = Buffer.alloc(CLUSTER_BYTES)
  const first = blockIndex * REFCOUNT_BLOCK_ENTRIES
  const count = Math.max(0, Math.min(REFCOUNT_BLOCK_ENTRIES, plan.total - first))
  for (let at = 0; at < count; at++) block.writeUInt16BE(1, at * 2)
  return block
}

function encodeL1(disk: DiskContent, plan: Qcow2Plan): Uint8Array {
  const table = Buffer.alloc((plan.l2Tables - plan.l1Table) * CLUSTER_BYTES)
  const entries = l1EntryCount(disk)
  let next = plan.l2Tables
  for (let at = 0; at < entries; at++) {
    const { tables } = plan.segments[Math.floor(at / SEGMENT_TABLES)]!
    if (tables[at % SEGMENT_TABLES]) table.writeBigUInt64BE(byteOffset(next++) | COPIED, at * 8)
  }
  return table
}

async function* l2Parts(
  disk: DiskContent,
  plan: Qcow2Plan,
  start: number,
): AsyncGenerator<ExportPart> {
  let end = plan.l2Tables
  let data = plan.data
  for (const [index, { tables, tableCount, dataClusters }] of plan.segments.entries()) {
    end += tableCount
    if (end * CLUSTER_BYTES <= start) yield skippedPart(tableCount * CLUSTER_BYTES)
    else if (tableCount > 0) {
      const references = await readSegment(disk, index)
      let next = data
      for (const [table, isThere] of tables.entries()) {
        if (!isThere) continue
        const encoded = Buffer.alloc(CLUSTER_BYTES)
        for (let at = table * L2_CHUNKS; at < (table + 1) * L2_CHUNKS; at++) {
          if (!isStored(references?.[at] ?? 'zero')) continue
          const clusters = chunkClusters(disk, index * SEGMENT_CHUNKS + at)
          for (let cluster = 0; cluster < clusters; cluster++) {
            const entry = (at % L2_CHUNKS) * CHUNK_CLUSTERS + cluster
            encoded.writeBigUInt64BE(byteOffset(next++) | COPIED, entry * 8)
          }
        }
        yield constant(() => encoded)
      }
    }
    data += dataClusters
  }
}

async function* dataParts(
  disk: DiskContent,
  plan: Qcow2Plan,
  start: number,
): AsyncGenerator<ExportPart> {
  let end = plan.data
  for (const [index, { dataClusters }] of plan.segments.entries()) {
    end += dataClusters
    if (end * CLUSTER_BYTES <= start) {
      yield skippedPart(dataClusters * CLUSTER_BYTES)
      continue
    }
    const references = (dataClusters > 0 && (await readSegment(disk, index))) || []
    for (let at = 0; at < segmentLength(disk.sizeBytes, index); at++) {
      const reference = references[at] ?? 'zero'
      if (!isStored(reference)) continue
      const chunk = index * SEGMENT_CHUNKS + at
      const length = chunkClusters(disk, chunk) * CLUSTER_BYTES
      yield {
        length,
        load: async () => padded(await readDiskChunk(disk, chunk, reference), length),
      }
    }
  }
}

/** Only the last chunk of a disk may end within a cluster. */
function padded(content: Uint8Array, length: number): Uint8Array {
  if (content.length === length) return content
  const whole = new Uint8Array(length)
  whole.set(content)
  return whole
}

function byteOffset(cluster: number): bigint {
  return BigInt(cluster) << BigInt(CLUSTER_BITS)
}
