import { MAX_SPANS, createExtentsBuilder, within, type Extents } from '../extents.ts'

/** What `btrfs inspect-internal` prints, and where on the device that is. */

export interface BtrfsFacts {
  devices: number
  logRoot: number
  /** Of all extents, each counted once whatever its copies. */
  bytesUsed: number
  nodeBytes: number
  /** Of the device, as far as the file system goes. */
  totalBytes: number
}

export function parseDumpSuper(text: string): BtrfsFacts {
  const value = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(text)?.[1])
  return {
    devices: value('num_devices'),
    logRoot: value('log_root'),
    bytesUsed: value('bytes_used'),
    nodeBytes: value('nodesize'),
    totalBytes: value('dev_item.total_bytes'),
  }
}

/** A range of logical addresses, and where its copies begin on the device. */
export interface BtrfsChunk {
  start: number
  end: number
  copies: number[]
}

const CHUNK_ITEM = /^\titem \d+ key \(FIRST_CHUNK_TREE CHUNK_ITEM (\d+)\).*\n((?:\t\t.*\n?)*)/gm
/** Profiles that lay bytes out as they are; RAID10 and the like spread them. */
const PLAIN_PROFILE = /\|(single|DUP)$/

/** The chunk tree. Throws where a chunk is laid out in another way. */
export function parseChunks(text: string): BtrfsChunk[] {
  return [...text.matchAll(CHUNK_ITEM)].map(([, start, body]) => {
    const [, length, type] = /length (\d+) .*\btype (\S+)/.exec(body!) ?? []
    const copies = [...body!.matchAll(/stripe \d+ devid \d+ offset (\d+)/g)].map(([, at]) =>
      Number(at),
    )
    if (length === undefined || copies.length === 0 || !PLAIN_PROFILE.test(type!))
      throw new Error(`btrfs lays out data as "${type}", which is not understood`)
    return { start: Number(start), end: Number(start) + Number(length), copies }
  })
}

const EXTENT_ITEM = /^\titem \d+ key \((\d+) (EXTENT|METADATA)_ITEM (\d+)\)/

/**
 * Takes the lines of the extent tree, which lists everything that is allocated, in order. Throws for
 * an extent that no chunk has, or that overlaps another.
 */
export function createExtentTreeReader(nodeBytes: number, chunks: readonly BtrfsChunk[]) {
  const builder = createExtentsBuilder(MAX_SPANS)
  const inOrder = chunks.toSorted((one, other) => one.start - other.start)
  let chunk = 0
  let bytes = 0
  let last = 0
  return {
    line(text: string): void {
      const match = EXTENT_ITEM.exec(text)
      if (!match) return
      const start = Number(match[1])
      // The key of metadata has its level where others have their length.
      const end = start + (match[2] === 'METADATA' ? nodeBytes : Number(match[3]))
      while (inOrder[chunk] && inOrder[chunk]!.end <= start) chunk++
      const place = inOrder[chunk]
      if (!place || start < place.start || end > place.end || start < last)
        throw new Error(`btrfs lists an extent at ${start} to ${end}, where none can be`)
      builder.add(start, end)
      bytes += end - start
      last = end
    },
    bytes: () => bytes,
    build: builder.build,
  }
}

/** All copies of logical extents on the device. */
export function placesOf(logical: Extents, chunks: readonly BtrfsChunk[]): Extents {
  const stripes = chunks.flatMap((chunk) => chunk.copies.map((at) => ({ chunk, at })))
  const builder = createExtentsBuilder(MAX_SPANS)
  for (const { chunk, at } of stripes.toSorted((one, other) => one.at - other.at))
    for (const { start, end } of within(logical, chunk))
      builder.add(at + start - chunk.start, at + end - chunk.start)
  return builder.build()
}
