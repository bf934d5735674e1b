import type { FileHandle } from 'node:fs/promises'
import { type BtrfsChecksum, findBtrfsChecksum } from './btrfs-checksum.ts'
import { ImageFileError } from './image-file-error.ts'

/**
 * The trees of a btrfs, read-only and without trust: what a file system that anybody may have made says of places and
 * sizes is checked before it is followed (btrfs.readthedocs.io, "On-disk format").
 */

export interface BtrfsKey {
  objectId: bigint
  type: number
  offset: bigint
}

export interface BtrfsItem {
  key: BtrfsKey
  data: Buffer
}

export interface BtrfsVolume {
  /** Of the tree of trees. */
  rootTree: bigint
  sectorBytes: number
  /** Items of a tree from `from` on, in order. */
  items(root: bigint, from: BtrfsKey): AsyncGenerator<BtrfsItem>
  /** Bytes by their logical address. */
  read(logical: bigint, length: number): Promise<Buffer>
}

interface Chunk {
  logical: bigint
  length: bigint
  /** On the only device, of the first copy. */
  physical: bigint
}

const SUPERBLOCK_AT = 65_536
const SUPERBLOCK_BYTES = 4096
const CHECKSUM_TYPE_AT = 196
/** What a block begins with, and it is of all that follows. */
const CHECKSUM_BYTES = 32
const SYSTEM_CHUNKS_AT = 811
const MAX_SYSTEM_CHUNKS_BYTES = 2048
const HEADER_BYTES = 101
const ITEM_BYTES = 25
const POINTER_BYTES = 33
const KEY_BYTES = 17
const MAX_LEVEL = 8
const MAX_NODE_BYTES = 65_536
const CHUNK_ITEM = 228
const BEFORE_ALL: BtrfsKey = { objectId: -1n, type: 0, offset: 0n }
/** RAID0, RAID10, RAID5 and RAID6: a chunk's bytes are dealt out to several places. */
const DEALT_OUT = 0x8n | 0x40n | 0x80n | 0x100n

/** Throws ImageFileError. */
export async function openBtrfsVolume(file: FileHandle): Promise<BtrfsVolume> {
  const superblock = await readAt(file, SUPERBLOCK_AT, SUPERBLOCK_BYTES)
  if (superblock.readBigUInt64LE(136) !== 1n)
    throw unreadable('it is one of several devices of a btrfs, and a single partition is opened')
  const sectorBytes = superblock.readUInt32LE(144)
  const nodeBytes = superblock.readUInt32LE(148)
  if (nodeBytes < 4096 || nodeBytes > MAX_NODE_BYTES || sectorBytes < 512 || sectorBytes > 65_536)
    throw unreadable(`its superblock tells of nodes of ${nodeBytes} bytes`)

  const checksum = await checksumOf(superblock)
  if (!isWhole(superblock, checksum)) throw unreadable('its superblock is damaged')

  const chunks: Chunk[] = []
  async function read(logical: bigint, length: number): Promise<Buffer> {
    const chunk = chunks.find((one) => logical >= one.logical && logical < one.logical + one.length)
    if (!chunk || logical + BigInt(length) > chunk.logical + chunk.length)
      throw unreadable(`it has nothing at address ${logical}`)
    return await readAt(file, Number(chunk.physical + logical - chunk.logical), length)
  }

  async function* walk(
    address: bigint,
    from: BtrfsKey,
    level: number | undefined,
    done: { last: BtrfsKey },
  ): AsyncGenerator<BtrfsItem> {
    const node = await read(address, nodeBytes)
    const isAt = node.readUInt8(100)
    const count = node.readUInt32LE(96)
    const entryBytes = isAt === 0 ? ITEM_BYTES : POINTER_BYTES
    const isInPlace = node.readBigUInt64LE(48) === address && isAt === (level ?? isAt)
    if (!isWhole(node, checksum) || !isInPlace || isAt > MAX_LEVEL)
      throw unreadable(`the node at address ${address} is damaged`)
    if (HEADER_BYTES + count * entryBytes > nodeBytes)
      throw unreadable(`the node at address ${address} has ${count} entries`)
    const keyAt = (index: number) => keyOf(node, HEADER_BYTES + index * entryBytes)
    const [first, last] = count === 0 ? [] : [keyAt(0), keyAt(count - 1)]
    const isEmpty = first === undefined || last === undefined
    if (isEmpty && (isAt > 0 || level !== undefined))
      throw unreadable(`the node at address ${address} is empty`)
    if (isAt === 0 && !isEmpty) {
      // Nodes may name one leaf again and again: so few bytes would be a tree of as good as no end.
      if (compareKeys(first, done.last) <= 0 || compareKeys(last, first) < 0)
        throw unreadable(`the node at address ${address} comes out of order`)
      done.last = last
    }
    // The first that may matter; of pointers, the one before the first that is greater.
    let index = firstNotBefore(count, (at) => compareKeys(keyAt(at), from))
    if (isAt > 0 && index > 0 && (index === count || compareKeys(keyAt(index), from) > 0)) index--
    for (; index < count; index++) {
      const place = HEADER_BYTES + index * entryBytes + KEY_BYTES
      if (isAt > 0) yield* walk(node.readBigUInt64LE(place), from, isAt - 1, done)
      else {
        const start = HEADER_BYTES + node.readUInt32LE(place)
        const end = start + node.readUInt32LE(place + 4)
        if (end > nodeBytes) throw unreadable(`the node at address ${address} is damaged`)
        yield { key: keyAt(index), data: node.subarray(start, end) }
      }
    }
  }

  const items = (root: bigint, from: BtrfsKey) => walk(root, from, undefined, { last: BEFORE_ALL })
  chunks.push(...systemChunks(superblock))
  const found: Chunk[] = []
  const beginning = { objectId: 0n, type: 0, offset: 0n }
  for await (const { key, data } of items(superblock.readBigUInt64LE(88), beginning))
    if (key.type === CHUNK_ITEM) found.push(chunkOf(key.offset, data))
  chunks.splice(0, chunks.length, ...found)
  return { rootTree: superblock.readBigUInt64LE(80), sectorBytes, items, read }
}

async function checksumOf(superblock: Buffer): Promise<BtrfsChecksum> {
  const type = superblock.readUInt16LE(CHECKSUM_TYPE_AT)
  const checksum = await findBtrfsChecksum(type)
  if (!checksum) throw unreadable(`its checksums are of type ${type}, which is not known here`)
  return checksum
}

/** Shorter checksums are followed by zeros. */
function isWhole(block: Buffer, checksum: BtrfsChecksum): boolean {
  const actual = checksum(block.subarray(CHECKSUM_BYTES))
  return block.subarray(0, actual.length).equals(actual)
}

/** Where the chunk tree lies that tells where all else lies. */
function systemChunks(superblock: Buffer): Chunk[] {
  const bytes = Math.min(superblock.readUInt32LE(160), MAX_SYSTEM_CHUNKS_BYTES)
  const list = superblock.subarray(SYSTEM_CHUNKS_AT, SYSTEM_CHUNKS_AT + bytes)
  const chunks: Chunk[] = []
  for (let at = 0; at + KEY_BYTES + 80 <= list.length;) {
    const item = list.subarray(at + KEY_BYTES)
    chunks.push(chunkOf(keyOf(list, at).offset, item))
    at += KEY_BYTES + 48 + 32 * item.readUInt16LE(44)
  }
  return chunks
}

function chunkOf(logical: bigint, item: Buffer): Chunk {
  if (item.length < 80) throw unreadable('its chunk tree is damaged')
  if ((item.readBigUInt64LE(24) & DEALT_OUT) !== 0n)
    throw unreadable('it has a RAID profile that deals its bytes out')
  return { logical, length: item.readBigUInt64LE(0), physical: item.readBigUInt64LE(56) }
}

export function keyOf(bytes: Buffer, at: number): BtrfsKey {
  return {
    objectId: bytes.readBigUInt64LE(at),
    type: bytes.readUInt8(at + 8),
    offset: bytes.readBigUInt64LE(at + 9),
  }
}

function compareKeys(one: BtrfsKey, other: BtrfsKey): number {
  if (one.objectId !== other.objectId) return one.objectId < other.objectId ? -1 : 1
  if (one.type !== other.type) return one.type - other.type
  return one.offset === other.offset ? 0 : one.offset < other.offset ? -1 : 1
}

function firstNotBefore(count: number, compare: (at: number) => number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(middle) < 0) low = middle + 1
    else high = middle
  }
  return low
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  const { bytesRead } = await file.read(bytes, 0, length, position)
  if (bytesRead !== length) throw unreadable(`it goes on behind its end, at byte ${position}`)
  return bytes
}

export function unreadable(reason: string): ImageFileError {
  return new ImageFileError('unreadable-file-system', `The btrfs cannot be read: ${reason}`)
}
