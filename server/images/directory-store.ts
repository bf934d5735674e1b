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
import { isGzip, statedLength } from './gzip-member.ts'

export type DirectoryStoreOptions = {
  folder: string
  /** Makes what was written to the folder's file system survive a power failure: syncfs(2). */
  flush: () => Promise<void>
}

const EXTENSION = '.gz'
const TEMPORARY_FOLDER = 'tmp'
const FILE_NAME_LENGTH = 62
/** Magic, header, an empty block, trailer: nothing shorter is a member. */
const SHORTEST_MEMBER_BYTES = 20
/** A member of 1 MiB that does not compress is barely longer. */
const LONGEST_MEMBER_BYTES = CHUNK_BYTES + 65_536
/** libuv has four threads; a few more calls keep them busy. */
const CONCURRENT_CALLS = 16

/**
 * Chunks as files `ab/cdef….gz`. One is written under a temporary name and linked to its own, which
 * fails if another was first. The modification time says when a chunk was last touched.
 * Call `prepareDirectoryStore` once per process start before.
 */
export function createDirectoryStore({ folder, flush }: DirectoryStoreOptions): ChunkStore {
  const limit = pLimit(CONCURRENT_CALLS)
  const pathOf = (hash: Sha256) => join(folder, hash.slice(0, 2), hash.slice(2) + EXTENSION)

  async function touchOne(hash: Sha256): Promise<StoredSize | undefined> {
    try {
      await using file = await open(pathOf(hash), 'r')
      const size = await sizeOf(file)
      // By its path, not by the handle: a file that a sweep has moved away must not count as here.
      if (size) await utimes(pathOf(hash), new Date(), new Date())
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
    const temporary = join(folder, TEMPORARY_FOLDER, randomUUID())
    try {
      await write(temporary, bytes)
      await linkUnlessWhole(temporary, hash)
    } catch (cause) {
      throw unreachable(cause)
    } finally {
      await rm(temporary, { force: true }).catch(() => {})
    }
  }

  async function linkUnlessWhole(temporary: string, hash: Sha256): Promise<void> {
    try {
      await link(temporary, pathOf(hash))
    } catch (cause) {
      if (codeOf(cause) !== 'EEXIST') throw cause
      // Another writer was first, or a power failure left a stump there: only that is replaced.
      if (!(await touchOne(hash))) await rename(temporary, pathOf(hash))
    }
  }

  /**
   * Moved away first and looked at again: a touch either came before, and is seen now, or finds no
   * file and its caller stores the chunk anew. So no lock is needed against touches.
   */
  async function removeUntouched(hash: Sha256, cutoff: Date): Promise<boolean> {
    const path = pathOf(hash)
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

    async read(hash): Promise<StoredChunk> {
      const bytes = await readFile(pathOf(hash)).catch((cause: unknown) => {
        if (codeOf(cause) === 'ENOENT') throw new ChunkMissingError(hash, { cause })
        throw unreachable(cause)
      })
      const codec = codecOf(bytes)
      if (!codec || bytes.length < SHORTEST_MEMBER_BYTES)
        throw new ChunkCorruptError(hash, `its ${bytes.length} bytes are no gzip member`)
      return { codec, bytes }
    },

    putIfAbsent: (hash, bytes) => limit(() => putIfAbsent(hash, bytes)),

    async sweep({ prefix, isLive, cutoff }: Sweep): Promise<number> {
      try {
        const names = await readdir(join(folder, prefix)).catch(ignore('ENOENT'))
        const garbage = hashesOf(prefix, names ?? []).filter((hash) => !isLive(hash))
        const removals = garbage.map((hash) => limit(() => removeUntouched(hash, cutoff)))
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

function hashesOf(prefix: string, names: string[]): Sha256[] {
  return names
    .filter((name) => name.length === FILE_NAME_LENGTH + EXTENSION.length)
    .map((name) => prefix + name.slice(0, FILE_NAME_LENGTH))
    .filter((text) => new RegExp(SHA256_PATTERN).test(text))
    .map(parseSha256)
}

/** Undefined if the file cannot be a whole chunk. */
async function sizeOf(file: FileHandle): Promise<StoredSize | undefined> {
  const { size: storedBytes } = await file.stat()
  if (storedBytes < SHORTEST_MEMBER_BYTES || storedBytes > LONGEST_MEMBER_BYTES) return undefined
  const ends = Buffer.alloc(8)
  await file.read(ends, 0, 4, 0)
  await file.read(ends, 4, 4, storedBytes - 4)
  if (!isGzip(ends)) return undefined
  const contentBytes = statedLength(ends)
  if (contentBytes > CHUNK_BYTES) return undefined
  return { codec: 'gzip', storedBytes, contentBytes }
}

/** RFC 8878 §3.1.1: the magic number of a zstd frame. */
function codecOf(bytes: Uint8Array): Codec | undefined {
  if (isGzip(bytes)) return 'gzip'
  const isZstd = [0x28, 0xb5, 0x2f, 0xfd].every((byte, index) => bytes[index] === byte)
  return isZstd ? 'zstd' : undefined
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
