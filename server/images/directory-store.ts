import { randomUUID } from 'node:crypto'
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { CHUNK_BYTES } from '#protocol/image.ts'
import { parseSha256, type Sha256, SHA256_PATTERN } from '#protocol/sha256.ts'
import { codecOf } from './chunk-codec.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  type Codec,
  type StoredChunk,
  type StoredSize,
  StoreFullError,
  StoreUnreachableError,
  type Sweep,
} from './chunk-store.ts'
import { statedLength } from './gzip-member.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES, FrameDecodeError } from './zstd-frame.ts'

export type DirectoryStoreOptions = {
  folder: string
  /** Makes what was written to the folder's file system survive a power failure: syncfs(2). */
  flush: () => Promise<void>
}

const EXTENSIONS: Record<Codec, string> = { gzip: '.gz', zstd: '.zst' }
const CODECS = ['gzip', 'zstd'] as const
const TEMPORARY_FOLDER = 'tmp'
const FILE_NAME_LENGTH = 62
/** Magic, header, an empty block, trailer: nothing shorter is a whole chunk. */
const SHORTEST_BYTES: Record<Codec, number> = { gzip: 20, zstd: 9 }
/** 1 MiB that does not compress becomes barely longer. */
const LONGEST_BYTES = CHUNK_BYTES + 65_536
/** libuv has four threads; a few more calls keep them busy. */
const CONCURRENT_CALLS = 16

/**
 * Chunks as files `ab/cdef….gz` or `.zst`. One is written under a temporary name and linked to its
 * own, which fails if another was first. The modification time says when a chunk was last touched.
 * Call `prepareDirectoryStore` once per process start before.
 */
export function createDirectoryStore({ folder, flush }: DirectoryStoreOptions): ChunkStore {
  const limit = pLimit(CONCURRENT_CALLS)
  const changing = new Map<Sha256, Promise<unknown>>()
  const pathOf = (hash: Sha256, codec: Codec) =>
    join(folder, hash.slice(0, 2), hash.slice(2) + EXTENSIONS[codec])

  /**
   * Puts and removals of one chunk, one after the other. With two names for it, `link` alone could
   * not make the first writer win.
   */
  async function alone<Result>(hash: Sha256, work: () => Promise<Result>): Promise<Result> {
    const done = (changing.get(hash) ?? Promise.resolve()).then(work)
    const settled = done.catch(() => {})
    changing.set(hash, settled)
    try {
      return await done
    } finally {
      if (changing.get(hash) === settled) changing.delete(hash)
    }
  }

  async function touchOne(hash: Sha256): Promise<StoredSize | undefined> {
    for (const codec of CODECS) {
      const size = await touchFile(pathOf(hash, codec), codec)
      if (size) return size
    }
    return undefined
  }

  async function touchFile(path: string, codec: Codec): Promise<StoredSize | undefined> {
    try {
      await using file = await open(path, 'r')
      const size = await sizeOf(file, codec)
      // By its path, not by the handle: a file that a sweep has moved away must not count as here.
      if (size) await utimes(path, new Date(), new Date())
      return size
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined
      throw unreachable(cause)
    }
  }

  async function write(path: string, bytes: Uint8Array): Promise<void> {
    await using file = await open(path, 'wx', 0o640)
    await file.writeFile(bytes)
    // The kernel's own time stamps lag a few milliseconds behind the clock that cutoffs come from.
    await file.utimes(new Date(), new Date())
  }

  async function putIfAbsent(hash: Sha256, bytes: Uint8Array): Promise<void> {
    if (await touchOne(hash)) return
    const codec = codecOf(bytes)
    if (!codec) throw new TypeError(`Chunk "${hash}" is neither a gzip member nor a zstd frame`)
    const temporary = join(folder, TEMPORARY_FOLDER, randomUUID())
    try {
      await write(temporary, bytes)
      await linkUnlessWhole(temporary, hash, codec)
    } catch (cause) {
      throw unreachable(cause)
    } finally {
      await unlink(temporary).catch(() => {})
    }
  }

  async function linkUnlessWhole(temporary: string, hash: Sha256, codec: Codec): Promise<void> {
    const path = pathOf(hash, codec)
    try {
      await link(temporary, path)
    } catch (cause) {
      if (codeOf(cause) !== 'EEXIST') throw cause
      // Another writer was first, or a power failure left a stump there: only that is replaced.
      if (!(await touchFile(path, codec))) await rename(temporary, path)
    }
    // A stump of the other codec would be found first, or kept for ever.
    for (const other of CODECS)
      if (other !== codec) await unlink(pathOf(hash, other)).catch(ignore('ENOENT'))
  }

  /**
   * Moved away first and looked at again: a touch either came before, and is seen now, or finds no
   * file and its caller stores the chunk anew. So no lock is needed against touches.
   */
  async function removeUntouched({ hash, codec }: Named, cutoff: Date): Promise<boolean> {
    const path = pathOf(hash, codec)
    if ((await stat(path)).mtimeMs >= cutoff.getTime()) return false
    const aside = join(folder, TEMPORARY_FOLDER, randomUUID())
    await rename(path, aside)
    const wasTouched = (await stat(aside)).mtimeMs >= cutoff.getTime()
    if (wasTouched) await link(aside, path).catch(ignore('EEXIST'))
    await unlink(aside)
    return !wasTouched
  }

  return {
    async touch(hashes) {
      const sizes = new Map<Sha256, StoredSize>()
      await Promise.all(
        hashes.map((hash) =>
          limit(async () => {
            const size = await touchOne(hash)
            if (size) sizes.set(hash, size)
          }),
        ),
      )
      return sizes
    },

    async read(hash, buffer): Promise<StoredChunk> {
      for (const codec of CODECS) {
        const bytes = await readWhole(pathOf(hash, codec), buffer).catch((cause: unknown) => {
          if (codeOf(cause) !== 'ENOENT') throw unreachable(cause)
        })
        if (!bytes) continue
        if (codecOf(bytes) !== codec || bytes.length < SHORTEST_BYTES[codec])
          throw new ChunkCorruptError(hash, `its ${bytes.length} bytes are no ${codec} chunk`)
        return { codec, bytes }
      }
      throw new ChunkMissingError(hash)
    },

    putIfAbsent: (hash, bytes) => alone(hash, () => limit(() => putIfAbsent(hash, bytes))),

    async sweep({ prefix, isLive, cutoff }: Sweep): Promise<number> {
      try {
        const names = await readdir(join(folder, prefix)).catch(ignore('ENOENT'))
        const garbage = chunksOf(prefix, names ?? []).filter(({ hash }) => !isLive(hash))
        const removals = garbage.map((chunk) =>
          alone(chunk.hash, () => limit(() => removeUntouched(chunk, cutoff))),
        )
        return (await Promise.all(removals)).filter(Boolean).length
      } catch (cause) {
        throw unreachable(cause)
      }
    },

    flush,
  }
}

/**
 * Makes the folders of a store and sweeps what a crash left half-written. Only before the first use
 * in a process, and by one process: temporary files of others would go too.
 */
export async function prepareDirectoryStore(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 })
  await rm(join(folder, TEMPORARY_FOLDER), { recursive: true, force: true })
  await mkdir(join(folder, TEMPORARY_FOLDER), { mode: 0o750 })
  for (const prefix of PREFIXES) await mkdir(join(folder, prefix)).catch(ignore('EEXIST'))
}

/** All that a hash can begin with: what sweeps go through one by one. */
export const PREFIXES: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)

/** Throws as `open` and `read` do. */
async function readWhole(path: string, buffer: Uint8Array | undefined): Promise<Uint8Array> {
  if (!buffer) return await readFile(path)
  await using file = await open(path, 'r')
  for (let length = 0; ;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
    length += bytesRead
    // A whole chunk is shorter than the buffer: what fills it is found to be none.
    if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length)
  }
}

type Named = { hash: Sha256; codec: Codec }

function chunksOf(prefix: string, names: string[]): Named[] {
  return names.flatMap((name) => {
    const text = prefix + name.slice(0, FILE_NAME_LENGTH)
    const codec = CODECS.find((each) => name.slice(FILE_NAME_LENGTH) === EXTENSIONS[each])
    if (!codec || !new RegExp(SHA256_PATTERN).test(text)) return []
    return [{ hash: parseSha256(text), codec }]
  })
}

/** Undefined if the file cannot be a whole chunk. */
async function sizeOf(file: FileHandle, codec: Codec): Promise<StoredSize | undefined> {
  const { size: storedBytes } = await file.stat()
  if (storedBytes < SHORTEST_BYTES[codec] || storedBytes > LONGEST_BYTES) return undefined
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  await file.read(head, 0, head.length, 0)
  if (codecOf(head) !== codec) return undefined
  const contentBytes = codec === 'gzip' ? await trailerOf(file, storedBytes) : frameContent(head)
  if (contentBytes === undefined || contentBytes > CHUNK_BYTES) return undefined
  return { codec, storedBytes, contentBytes }
}

async function trailerOf(file: FileHandle, storedBytes: number): Promise<number> {
  const trailer = Buffer.alloc(4)
  await file.read(trailer, 0, 4, storedBytes - 4)
  return statedLength(trailer)
}

function frameContent(head: Uint8Array): number | undefined {
  try {
    return decodeFrameHeader(head).contentBytes
  } catch (err) {
    if (err instanceof FrameDecodeError) return undefined
    throw err
  }
}

function codeOf(err: unknown): string | undefined {
  return (err as NodeJS.ErrnoException).code
}

function ignore(code: string): (err: unknown) => undefined {
  return (err) => {
    if (codeOf(err) !== code) throw err
    return undefined
  }
}

function unreachable(cause: unknown): Error {
  if (cause instanceof StoreFullError || cause instanceof StoreUnreachableError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (codeOf(cause) === 'ENOSPC' || codeOf(cause) === 'EDQUOT')
    return new StoreFullError('The chunk store is full; make room or delete images', { cause })
  return new StoreUnreachableError(`The chunk store does not answer: ${reason}`, { cause })
}
