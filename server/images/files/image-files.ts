import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { DiskContent } from '../export/disk-content.ts'
import { btrfsFileSystem } from './btrfs.ts'
import { choosePlace } from './choose-place.ts'
import { fatFileSystem, ntfsFileSystem } from './dos.ts'
import { extFileSystem } from './ext.ts'
import {
  type Entry,
  type FileSystemKind,
  type ImageFileSystem,
  resolvePath,
} from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { openSpooledPlaces } from './spooled-places.ts'
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
  /** `group/name` of a logical volume, in that partition or any. */
  volume?: string | undefined
  signal: AbortSignal
}

/** To be disposed of, also if its content is not read. */
export interface OpenedFile extends AsyncDisposable {
  partition: number
  /** `group/name`, if it is in one. */
  volume?: string
  /** With links followed. */
  path: string
  sizeBytes: number | undefined
  content: AsyncIterable<Uint8Array>
}

export interface OpenedDirectory {
  partition: number
  volume?: string
  /** All that can be looked into there, if any. */
  volumes?: string[]
  path: string
  entries: Entry[]
}

export interface ImageFiles extends AsyncDisposable {
  /** Throws ImageFileError, or an error of the store. */
  read(request: ImageFilesRequest): Promise<OpenedFile>
  /** The entries of a directory, by name; of a file, itself. */
  list(request: ImageFilesRequest): Promise<OpenedDirectory>
}

const READERS: Record<FileSystemKind, (path: string, signal: AbortSignal) => ImageFileSystem> = {
  ext: extFileSystem,
  xfs: xfsFileSystem,
  btrfs: btrfsFileSystem,
  ntfs: ntfsFileSystem,
  fat: fatFileSystem,
}
/** Single files of images: the partition is unpacked, and looked into by programs without privileges. */
export function openImageFiles({ spoolFolder, openDisk }: ImageFilesOptions): ImageFiles {
  const places = openSpooledPlaces(spoolFolder)
  const stop = new AbortController()

  async function open(request: ImageFilesRequest) {
    await using opened = new AsyncDisposableStack()
    const disk = await openDisk(request.digest)
    if (!disk) throw new ImageFileError('no-such-file', 'The image is gone')
    opened.use(disk)
    const { partition, volume, volumes, layout, kind } = await choosePlace(disk, request)
    const place = { partition, ...(volume !== undefined && { volume }) }
    const key = `${request.digest}/${partition}/${volume ?? ''}`
    const spool = opened.use(await places.take(key, disk, layout))
    const signal = AbortSignal.any([request.signal, stop.signal])
    const system = READERS[kind](spool.path, signal)
    const found = await resolvePath(system, request.path).catch((err: unknown) => {
      throw placed(err, place, request)
    })
    const resources = opened.move()
    const dispose = () => resources.disposeAsync()
    return { place, volumes, system, ...found, [Symbol.asyncDispose]: dispose }
  }

  return {
    async read(request) {
      const opened = await open(request)
      const { place, system, path, entry } = opened
      if (entry.kind !== 'file') {
        await opened[Symbol.asyncDispose]()
        throw new ImageFileError(
          'not-a-file',
          `"${path}" is ${entry.kind === 'directory' ? 'a directory; list it' : 'no file, but something special'}`,
        )
      }
      return {
        ...place,
        path,
        sizeBytes: entry.sizeBytes,
        content: await begun(system.read(path)).catch(async (err: unknown) => {
          await opened[Symbol.asyncDispose]()
          throw err
        }),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      }
    },

    async list(request) {
      await using opened = await open(request)
      const { place, volumes, system, path, entry } = opened
      const entries = entry.kind === 'directory' ? await system.list(path) : [entry]
      const byName = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      return { ...place, ...(volumes.length > 0 && { volumes }), path, entries: byName }
    },

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('The server stops'))
      await places[Symbol.asyncDispose]()
    },
  }
}

/** Says where it was looked for, if nobody said that, and where it could be then. */
function placed(
  err: unknown,
  { partition, volume }: { partition: number; volume?: string },
  { info }: ImageFilesRequest,
): unknown {
  if (!(err instanceof ImageFileError) || err.code !== 'no-such-file') return err
  const others = (info.partitions ?? []).length - 1
  const place = volume === undefined ? `partition ${partition}` : `volume ${volume}`
  const where = partition === 0 && volume === undefined ? 'the disk' : place
  const more = others > 0 || volume !== undefined ? '; name another with partition or volume' : ''
  return new ImageFileError(err.code, `${err.message} (looked for on ${where}${more})`)
}

/** Once its first bytes are there: what cannot be read at all is told before the answer begins. */
async function begun(content: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const parts = content[Symbol.asyncIterator]()
  let next = await parts.next()
  return (async function* () {
    try {
      for (; !next.done; next = await parts.next()) yield next.value
    } finally {
      await parts.return?.()
    }
  })()
}
