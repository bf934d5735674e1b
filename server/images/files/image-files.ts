import type { ImageInfo } from '#protocol/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { DiskContent } from '../disk-content.ts'
import { fatFileSystem, ntfsFileSystem } from './dos.ts'
import { extFileSystem } from './ext.ts'
import {
  detectContent,
  type Entry,
  type FileSystemKind,
  HEAD_BYTES,
  type ImageFileSystem,
  readableKind,
  resolvePath,
} from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { type ByteSpan, readSpan, spoolPartition } from './partition-spool.ts'
import { xfsFileSystem } from './xfs.ts'

export interface ImageFilesOptions {
  /** Of the data folder, closed to others. */
  spoolFolder: string
  /** The disk with this digest, kept while it is open. */
  openDisk: (digest: Sha256) => Promise<(DiskContent & AsyncDisposable) | undefined>
}

export interface ImageFilesRequest {
  digest: Sha256
  info: ImageInfo
  path: string
  /** Absent: the root's, else the largest that can be read. 0: the disk has no partitions. */
  partition?: number | undefined
  signal: AbortSignal
}

/** To be disposed of, also if its content is not read. */
export interface OpenedFile extends AsyncDisposable {
  partition: number
  /** With links followed. */
  path: string
  sizeBytes: number | undefined
  content: AsyncIterable<Uint8Array>
}

export interface OpenedDirectory {
  partition: number
  path: string
  entries: Entry[]
}

export interface ImageFiles extends AsyncDisposable {
  /** Throws ImageFileError, or an error of the store. */
  read(request: ImageFilesRequest): Promise<OpenedFile>
  /** The entries of a directory, by name; of a file, itself. */
  list(request: ImageFilesRequest): Promise<OpenedDirectory>
}

/** Partitions that stay unpacked for whoever looks on. */
const MAX_KEPT = 2
const KEPT_MILLISECONDS = 120_000
const READERS: Record<FileSystemKind, (path: string, signal: AbortSignal) => ImageFileSystem> = {
  ext: extFileSystem,
  xfs: xfsFileSystem,
  ntfs: ntfsFileSystem,
  fat: fatFileSystem,
}
/** Where systems have their root, before those of firmware and other disks. */
const ROOT_KINDS: readonly (FileSystemKind | undefined)[] = ['ext', 'xfs']

interface Kept {
  spool: Promise<{ path: string } & AsyncDisposable>
  users: number
  timer?: NodeJS.Timeout
}

/** Single files of images: the partition is unpacked, and looked into by programs without privileges. */
export function openImageFiles({ spoolFolder, openDisk }: ImageFilesOptions): ImageFiles {
  const kept = new Map<string, Kept>()
  const stop = new AbortController()

  async function drop(key: string): Promise<void> {
    const one = kept.get(key)
    if (!one || one.users > 0) return
    kept.delete(key)
    clearTimeout(one.timer)
    await one.spool.then(
      (spool) => spool[Symbol.asyncDispose](),
      () => {},
    )
  }

  /** The unpacked partition, until it is given back. */
  async function take(
    disk: DiskContent,
    digest: Sha256,
    partition: number,
    span: ByteSpan,
  ): Promise<{ path: string } & AsyncDisposable> {
    const key = `${digest}/${partition}`
    let one = kept.get(key)
    if (!one) {
      const idle = [...kept].filter(([, { users }]) => users === 0).map(([other]) => other)
      if (kept.size >= MAX_KEPT && idle[0] !== undefined) await drop(idle[0])
      if (kept.size >= 2 * MAX_KEPT)
        throw new ImageFileError('spool-full', 'Others look into other images; try again later')
      const { signal } = stop
      one = { spool: spoolPartition(disk, span, { folder: spoolFolder, signal }), users: 0 }
      one.spool.catch(() => kept.delete(key))
      kept.set(key, one)
    }
    const mine = one
    mine.users++
    clearTimeout(mine.timer)
    let isGiven = false
    const give = async () => {
      if (isGiven) return
      isGiven = true
      mine.users--
      if (mine.users === 0 && !stop.signal.aborted)
        mine.timer = setTimeout(() => void drop(key), KEPT_MILLISECONDS).unref()
    }
    try {
      const { path } = await mine.spool
      return { path, [Symbol.asyncDispose]: give }
    } catch (err) {
      await give()
      clearTimeout(mine.timer)
      throw err
    }
  }

  async function open(request: ImageFilesRequest) {
    await using opened = new AsyncDisposableStack()
    const disk = await openDisk(request.digest)
    if (!disk) throw new ImageFileError('no-such-file', 'The image is gone')
    opened.use(disk)
    const { partition, span, kind } = await choosePartition(disk, request)
    const spool = opened.use(await take(disk, request.digest, partition, span))
    const signal = AbortSignal.any([request.signal, stop.signal])
    const system = READERS[kind](spool.path, signal)
    const found = await resolvePath(system, request.path)
    const resources = opened.move()
    const dispose = () => resources.disposeAsync()
    return { partition, system, ...found, [Symbol.asyncDispose]: dispose }
  }

  return {
    async read(request) {
      const opened = await open(request)
      const { partition, system, path, entry } = opened
      if (entry.kind !== 'file') {
        await opened[Symbol.asyncDispose]()
        throw new ImageFileError(
          'not-a-file',
          `"${path}" is ${entry.kind === 'directory' ? 'a directory; list it' : 'no file, but something special'}`,
        )
      }
      return {
        partition,
        path,
        sizeBytes: entry.sizeBytes,
        content: system.read(path),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      }
    },

    async list(request) {
      await using opened = await open(request)
      const { partition, system, path, entry } = opened
      const entries = entry.kind === 'directory' ? await system.list(path) : [entry]
      const byName = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      return { partition, path, entries: byName }
    },

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('The server stops'))
      for (const [key, one] of kept) {
        one.users = 0
        await drop(key)
      }
    },
  }
}

interface Chosen {
  partition: number
  span: ByteSpan
  kind: FileSystemKind
}

async function choosePartition(
  disk: DiskContent,
  { info, partition }: Pick<ImageFilesRequest, 'info' | 'partition'>,
): Promise<Chosen> {
  const whole = { number: 0, startBytes: 0, sizeBytes: disk.sizeBytes }
  const all = info.partitions && info.partitions.length > 0 ? info.partitions : [whole]
  const wanted = partition ?? info.rootPartition
  const candidates = wanted === undefined ? all : all.filter(({ number }) => number === wanted)
  if (candidates.length === 0)
    throw new ImageFileError(
      'no-such-partition',
      `There is no partition ${wanted}; the image has ${all.map(({ number }) => number).join(', ')}`,
    )
  const seen = await Promise.all(
    candidates.map(async ({ number, startBytes, sizeBytes }) => {
      const head = await readSpan(disk, { startBytes, sizeBytes: Math.min(sizeBytes, HEAD_BYTES) })
      const content = detectContent(head)
      return { number, span: { startBytes, sizeBytes }, content, kind: readableKind(content) }
    }),
  )
  const bySize = seen.toSorted((a, b) => b.span.sizeBytes - a.span.sizeBytes)
  const best =
    bySize.find(({ kind }) => ROOT_KINDS.includes(kind) && kind !== undefined) ??
    bySize.find(({ kind }) => kind !== undefined)
  if (best?.kind) return { partition: best.number, span: best.span, kind: best.kind }
  const found = seen.map(({ number, content }) => `${number}: ${content ?? 'nothing known'}`)
  throw new ImageFileError(
    'unreadable-file-system',
    `Only ext2 to ext4, XFS, FAT and NTFS can be looked into, and there is no such partition (${found.join(', ')})`,
  )
}
