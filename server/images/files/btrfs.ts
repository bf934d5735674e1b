import { open } from 'node:fs/promises'
import { inflateSync, zstdDecompressSync } from 'node:zlib'
import { decodeAnyHeader, frameEnd } from '../codec/zstd-frame.ts'
import {
  keyOf,
  openBtrfsVolume,
  unreadable,
  type BtrfsItem,
  type BtrfsKey,
  type BtrfsVolume,
} from './btrfs-tree.ts'
import type { Entry, EntryKind, ImageFileSystem } from './file-system.ts'

const TYPE = { inode: 1, dirItem: 84, dirIndex: 96, extentData: 108, rootItem: 132 } as const
const TOP_SUBVOLUME = 5n
const FIRST_INODE = 256n
/** Of a dir entry. */
const KINDS: Record<number, EntryKind> = { 1: 'file', 2: 'directory', 7: 'symlink' }
/** Where installers put the root, of which the top subvolume knows only the name: Debian, Ubuntu and SUSE, Fedora. */
const ROOT_SUBVOLUMES = ['@rootfs', '@', 'root']
const EXTENT_HEADER_BYTES = 21
const MAX_LINK_BYTES = 4096
const READ_BYTES = 1024 * 1024
/** btrfs compresses 128 KiB at a time. */
const MAX_COMPRESSED_BYTES = 256 * 1024
const COMPRESSION = { none: 0, zlib: 1, lzo: 2, zstd: 3 } as const

/** A file or directory: a subvolume is a tree of its own. */
interface Node {
  tree: bigint
  inode: bigint
  name: string
  kind: EntryKind
}

/** btrfs on one device. `/` is the default subvolume, or the root of a system that lies in another. */
export function btrfsFileSystem(spoolPath: string, signal: AbortSignal): ImageFileSystem {
  async function using<T>(work: (volume: BtrfsVolume, root: Node) => Promise<T>): Promise<T> {
    await using file = await open(spoolPath, 'r')
    const volume = await openBtrfsVolume(file)
    try {
      return await work(volume, await findRoot(volume))
    } catch (err) {
      if (err instanceof RangeError) throw unreadable('an entry of it is damaged')
      throw err
    }
  }

  async function find(volume: BtrfsVolume, root: Node, path: string): Promise<Node | undefined> {
    let node: Node | undefined = root
    for (const name of path.split('/').filter((part) => part !== '')) {
      signal.throwIfAborted()
      if (node?.kind !== 'directory') return undefined
      node = await child(volume, node, name)
    }
    return node
  }

  return {
    stat: (path) =>
      using(async (volume, root) => {
        const node = await find(volume, root, path)
        return node && (await describe(volume, node, signal))
      }),

    list: (path) =>
      using(async (volume, root) => {
        const node = await find(volume, root, path)
        const entries: Entry[] = []
        if (node)
          for await (const { name, kind } of children(volume, node)) {
            signal.throwIfAborted()
            entries.push({ name, kind })
          }
        return entries
      }),

    async *read(path) {
      await using file = await open(spoolPath, 'r')
      const volume = await openBtrfsVolume(file)
      const node = await find(volume, await findRoot(volume), path)
      if (node) yield* contentOf(volume, node, signal)
    },
  }
}

async function findRoot(volume: BtrfsVolume): Promise<Node> {
  const top = await subvolume(volume, TOP_SUBVOLUME, '/')
  const named = await defaultSubvolume(volume)
  if (named !== undefined && named !== TOP_SUBVOLUME) return await subvolume(volume, named, '/')
  if (await child(volume, top, 'etc')) return top
  for (const name of ROOT_SUBVOLUMES) {
    const found = await child(volume, top, name)
    if (found?.kind === 'directory' && (await child(volume, found, 'etc'))) return found
  }
  return top
}

/** The entry `default` of the directory of trees. */
async function defaultSubvolume(volume: BtrfsVolume): Promise<bigint | undefined> {
  const from = { objectId: 6n, type: TYPE.dirItem, offset: 0n }
  for await (const { key, data } of volume.items(volume.rootTree, from)) {
    if (key.objectId !== 6n || key.type !== TYPE.dirItem) return undefined
    for (const { name, location } of entriesOf(data))
      if (name === 'default') return location.objectId
  }
  return undefined
}

/** The tree of a subvolume, at its first directory. */
async function subvolume(volume: BtrfsVolume, id: bigint, name: string): Promise<Node> {
  const from = { objectId: id, type: TYPE.rootItem, offset: 0n }
  for await (const { key, data } of volume.items(volume.rootTree, from)) {
    if (key.objectId !== id || key.type !== TYPE.rootItem) break
    // An inode of 160 bytes, generation, first directory, then where the tree begins.
    const tree = data.readBigUInt64LE(176)
    return { tree, inode: data.readBigUInt64LE(168) || FIRST_INODE, name, kind: 'directory' }
  }
  throw unreadable(`subvolume ${id} is not in it`)
}

async function child(volume: BtrfsVolume, parent: Node, name: string): Promise<Node | undefined> {
  for await (const found of children(volume, parent))
    if (found.name === name) return await enter(volume, found)
  return undefined
}

type Child = Node & { location: BtrfsKey }

async function enter(volume: BtrfsVolume, { location, ...node }: Child): Promise<Node> {
  return location.type === TYPE.rootItem
    ? await subvolume(volume, location.objectId, node.name)
    : { ...node, inode: location.objectId }
}

async function* children(volume: BtrfsVolume, parent: Node): AsyncGenerator<Child> {
  for await (const { data } of itemsOf(volume, parent, TYPE.dirIndex))
    for (const { name, location, kind } of entriesOf(data))
      yield { tree: parent.tree, inode: 0n, name, kind, location }
}

async function* itemsOf(
  volume: BtrfsVolume,
  { tree, inode }: Node,
  type: number,
): AsyncGenerator<BtrfsItem> {
  for await (const item of volume.items(tree, { objectId: inode, type, offset: 0n })) {
    if (item.key.objectId !== inode || item.key.type !== type) return
    yield item
  }
}

function entriesOf(data: Buffer): { name: string; location: BtrfsKey; kind: EntryKind }[] {
  const entries = []
  for (let at = 0; at + 30 <= data.length;) {
    const extraBytes = data.readUInt16LE(at + 25)
    const nameBytes = data.readUInt16LE(at + 27)
    const name = data.toString('utf8', at + 30, at + 30 + nameBytes)
    const kind = KINDS[data.readUInt8(at + 29)] ?? 'other'
    entries.push({ name, location: keyOf(data, at), kind })
    at += 30 + nameBytes + extraBytes
  }
  return entries
}

async function describe(volume: BtrfsVolume, node: Node, signal: AbortSignal): Promise<Entry> {
  const { name, kind } = node
  if (kind === 'file') return { name, kind, sizeBytes: await sizeOf(volume, node) }
  if (kind !== 'symlink') return { name, kind }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of contentOf(volume, node, signal)) {
    if ((bytes += part.length) > MAX_LINK_BYTES) throw unreadable(`the link "${name}" is too long`)
    parts.push(part)
  }
  return { name, kind, target: Buffer.concat(parts).toString('utf8') }
}

async function sizeOf(volume: BtrfsVolume, node: Node): Promise<number> {
  for await (const { data } of itemsOf(volume, node, TYPE.inode))
    return Number(data.readBigUInt64LE(16))
  throw unreadable(`"${node.name}" has no inode`)
}

/** Extents one after the other, with zeros where none is. */
async function* contentOf(
  volume: BtrfsVolume,
  node: Node,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const sizeBytes = await sizeOf(volume, node)
  let at = 0
  for await (const { key, data } of itemsOf(volume, node, TYPE.extentData)) {
    const start = Number(key.offset)
    if (start < at) throw unreadable(`the extents of "${node.name}" overlap`)
    for (const zeros of zerosTo(Math.min(start, sizeBytes), at)) yield zeros
    at = Math.max(at, Math.min(start, sizeBytes))
    for await (const part of extentOf(volume, data)) {
      signal.throwIfAborted()
      const wanted = part.subarray(0, sizeBytes - at)
      at += wanted.length
      if (wanted.length > 0) yield wanted
      // What lies behind the end is skipped: a hole there may claim to be without an end of its own.
      if (at === sizeBytes) return
    }
  }
  yield* zerosTo(sizeBytes, at)
}

function* zerosTo(end: number, from: number): Generator<Uint8Array> {
  for (let at = from; at < end; at += READ_BYTES)
    yield new Uint8Array(Math.min(READ_BYTES, end - at))
}

async function* extentOf(volume: BtrfsVolume, data: Buffer): AsyncGenerator<Uint8Array> {
  const ramBytes = Number(data.readBigUInt64LE(8))
  const compression = data.readUInt8(16)
  const kind = data.readUInt8(20)
  if (kind === 0) return yield unpack(data.subarray(EXTENT_HEADER_BYTES), compression, ramBytes)
  const address = data.readBigUInt64LE(21)
  const storedBytes = Number(data.readBigUInt64LE(29))
  const offset = Number(data.readBigUInt64LE(37))
  const length = Number(data.readBigUInt64LE(45))
  // A hole, or allocated and never written.
  if (address === 0n || kind === 2) return yield* zerosTo(length, 0)
  if (compression !== COMPRESSION.none) {
    if (storedBytes > MAX_COMPRESSED_BYTES) throw unreadable('an extent of it is too long')
    const all = unpack(await volume.read(address, storedBytes), compression, ramBytes)
    return yield all.subarray(offset, offset + length)
  }
  for (let done = 0; done < length; done += READ_BYTES)
    yield await volume.read(address + BigInt(offset + done), Math.min(READ_BYTES, length - done))
}

function unpack(bytes: Buffer, compression: number, ramBytes: number): Buffer {
  if (compression === COMPRESSION.none) return bytes
  const limit = { maxOutputLength: MAX_COMPRESSED_BYTES }
  if (ramBytes > MAX_COMPRESSED_BYTES) throw unreadable('an extent of it is too long')
  try {
    if (compression === COMPRESSION.zlib) return padded(inflateSync(bytes, limit), ramBytes)
    if (compression === COMPRESSION.zstd)
      return padded(zstdDecompressSync(zstdFrame(bytes), limit), ramBytes)
  } catch (err) {
    throw unreadable(`an extent of it does not unpack (${String(err)})`)
  }
  throw unreadable('the file is compressed with LZO, which is not unpacked here')
}

function padded(bytes: Buffer, length: number): Buffer {
  return bytes.length >= length
    ? bytes.subarray(0, length)
    : Buffer.concat([bytes, Buffer.alloc(length - bytes.length)])
}

/** Without what fills the last sector behind it, which would be taken for another frame. */
function zstdFrame(bytes: Buffer): Buffer {
  return bytes.subarray(0, frameEnd(bytes, decodeAnyHeader(bytes)))
}
