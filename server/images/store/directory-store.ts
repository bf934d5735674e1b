import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Sha256 } from '#protocol/sha256.ts'
import {
  QUARANTINE_FOLDER,
  removeUntouched,
  replaceChunk,
  replacedPath,
  setAside,
} from './change-chunk.ts'
import { chunkFiles, CODECS, isChunk, type NamedFile } from './chunk-file.ts'
import {
  ChunkCorruptError,
  type ChunkForm,
  ChunkMissingError,
  type ChunkStore,
  type Codec,
  type ListedChunk,
  PREFIXES,
  type ReadOptions,
  type StoredChunk,
  type StoredSize,
  StoreUnreachableError,
  type Sweep,
} from './chunk-store.ts'
import { putChunk, touchChunks, verifyAndPutChunk } from './chunk-threads.ts'
import { codeOf, ignore, storeError } from './directory-error.ts'
import { chunkPath, TEMPORARY_FOLDER } from './place-chunk.ts'
import { readWhole } from './read-chunk-file.ts'

export type DirectoryStoreOptions = {
  folder: string
  /** Makes what was written to the folder's file system survive a power failure: syncfs(2). */
  flush: () => Promise<void>
}

/** libuv has four threads; a few more calls keep them busy. */
const CONCURRENT_CALLS = 16
/** Chunks that one thread touches in one go, while others wait for it. */
const TOUCHED_AT_ONCE = 64
/** Files whose sizes are asked for at once, by lists. */
const LISTED_AT_ONCE = 64

/**
 * Chunks as files `ab/cdef….gz` or `.zst`. One is written under a temporary name and linked to its
 * own, which fails if another was first. The modification time says when a chunk was last touched.
 * A form that was replaced is kept beside it, as `ab/cdef….zst~` and its length, and its time says
 * when that was. Call `prepareDirectoryStore` once per process start before.
 */
export function createDirectoryStore({ folder, flush }: DirectoryStoreOptions): ChunkStore {
  const limit = pLimit(CONCURRENT_CALLS)
  const changing = new Map<Sha256, Promise<unknown>>()
  /** Of the last chunk that was read: one file that is not there costs as much as one that is. */
  let likely: Codec = 'zstd'
  const pathOf = (hash: Sha256, codec: Codec) => chunkPath(folder, hash, codec)

  /**
   * Changes of one chunk, one after the other. With two names for it, `link` alone could not make the
   * first writer win.
   */
  async function alone<Result>(hash: Sha256, work: () => Promise<Result>): Promise<Result> {
    const done = (changing.get(hash) ?? Promise.resolve()).then(() => limit(work))
    const settled = done.catch(() => {})
    changing.set(hash, settled)
    try {
      return await done
    } catch (cause) {
      throw storeError(cause)
    } finally {
      if (changing.get(hash) === settled) changing.delete(hash)
    }
  }

  async function readFirst(
    hash: Sha256,
    paths: { path: string; codec: Codec; storedBytes?: number }[],
    buffer: Uint8Array | undefined,
    { fromMedium, isUrgent }: ReadOptions,
  ): Promise<StoredChunk | undefined> {
    for (const { path, codec, storedBytes } of paths) {
      const bytes = await readWhole(path, buffer, fromMedium, isUrgent).catch((cause: unknown) => {
        if (codeOf(cause) === 'EIO')
          throw new ChunkCorruptError(hash, 'the medium cannot read it', { cause })
        if (codeOf(cause) !== 'ENOENT') throw storeError(cause)
      })
      if (!bytes || (storedBytes !== undefined && bytes.length !== storedBytes)) continue
      if (!isChunk(bytes, codec))
        throw new ChunkCorruptError(hash, `its ${bytes.length} bytes are no ${codec} chunk`)
      return { codec, bytes }
    }
    return undefined
  }

  async function* list(prefix: string): AsyncGenerator<ListedChunk> {
    const names = await namesIn(prefix)
    const files = chunkFiles(prefix, names)
    const replaced = new Map<Sha256, ChunkForm[]>()
    for (const { hash, codec, replacedBytes: storedBytes } of files)
      if (storedBytes !== undefined)
        replaced.set(hash, [...(replaced.get(hash) ?? []), { codec, storedBytes }])
    const current: NamedFile[] = []
    for (const file of files)
      // Of two files of one chunk, `read` finds the first.
      if (file.replacedBytes === undefined && current.at(-1)?.hash !== file.hash) current.push(file)
    for (let start = 0; start < current.length; start += LISTED_AT_ONCE) {
      const part = current.slice(start, start + LISTED_AT_ONCE).map(async ({ hash, codec }) => {
        const found = await limit(() => stat(pathOf(hash, codec)).catch(ignore('ENOENT')))
        const size = found && { storedBytes: found.size, touchedAt: found.mtime }
        return size && { hash, codec, ...size, replaced: replaced.get(hash) ?? [] }
      })
      for (const chunk of await Promise.all(part)) if (chunk) yield chunk
    }
  }

  async function namesIn(prefix: string): Promise<string[]> {
    const names = await readdir(join(folder, prefix)).catch(ignore('ENOENT'))
    if (!names) await assertThere()
    return names ?? []
  }

  async function assertThere(): Promise<void> {
    await stat(join(folder, TEMPORARY_FOLDER)).catch((cause: unknown) => {
      throw notThere(cause)
    })
  }

  /** No chunk is there then, and yet none is lost. */
  function notThere(cause?: unknown): StoreUnreachableError {
    return new StoreUnreachableError(`The chunk store is not at "${folder}"; is it mounted?`, {
      cause,
    })
  }

  return {
    async touch(hashes) {
      const sizes = new Map<Sha256, StoredSize>()
      await Promise.all(
        partsOf(hashes).map(async (part) => {
          const found = await touchChunks(folder, part).catch((cause: unknown) => {
            throw storeError(cause)
          })
          if (!found.isStoreThere) throw notThere()
          for (const [at, size] of found.sizes.entries()) if (size) sizes.set(part[at]!, size)
        }),
      )
      return sizes
    },

    async read(hash, buffer, options = {}): Promise<StoredChunk> {
      const { form } = options
      const current = [likely, ...CODECS.filter((codec) => codec !== likely)].map((codec) => ({
        path: pathOf(hash, codec),
        codec,
      }))
      // A form is kept aside before another takes its name, so in this order it is found.
      const asked = form && [
        { path: pathOf(hash, form.codec), ...form },
        { path: replacedPath(folder, hash, form), ...form },
      ]
      const found =
        (asked && (await readFirst(hash, asked, buffer, options))) ??
        (await readFirst(hash, current, buffer, options)) ??
        // Its codec changed in between, or what it lies on was mounted just now.
        (await assertThere().then(() => readFirst(hash, current, buffer, options)))
      if (!found) throw new ChunkMissingError(hash)
      likely = found.codec
      return found
    },

    putIfAbsent: (hash, bytes) => alone(hash, () => putChunk(folder, hash, bytes)),

    putIfRight: (hash, bytes) => alone(hash, () => verifyAndPutChunk(folder, hash, bytes)),

    replace: (hash, bytes) => alone(hash, () => replaceChunk(folder, hash, bytes)),

    quarantine: (hash) =>
      alone(hash, async () => {
        let isAside = false
        for (const codec of CODECS) if (await setAside(folder, hash, codec)) isAside = true
        return isAside
      }),

    async *list(prefix) {
      const folders = prefix === '' ? PREFIXES : [prefix.slice(0, 2)]
      try {
        for (const each of folders)
          for await (const chunk of list(each)) if (chunk.hash.startsWith(prefix)) yield chunk
      } catch (cause) {
        throw storeError(cause)
      }
    },

    async sweep({ prefix, isLive, cutoff, replacedCutoff }: Sweep): Promise<number> {
      try {
        const files = chunkFiles(prefix, await namesIn(prefix))
        const isReplaced = ({ replacedBytes }: NamedFile) => replacedBytes !== undefined
        const garbage = files.filter((file) => !isReplaced(file) && !isLive(file.hash))
        const removals = garbage.map(({ hash, codec }) =>
          alone(hash, () => removeUntouched(folder, pathOf(hash, codec), cutoff)),
        )
        const removed = (await Promise.all(removals)).filter(Boolean).length
        if (replacedCutoff)
          for (const { hash, codec, replacedBytes: storedBytes = 0 } of files.filter(isReplaced))
            await alone(hash, () =>
              removeUntouched(
                folder,
                replacedPath(folder, hash, { codec, storedBytes }),
                replacedCutoff,
              ),
            )
        return removed
      } catch (cause) {
        throw storeError(cause)
      }
    },

    flush,
  }
}

function partsOf(hashes: readonly Sha256[]): (readonly Sha256[])[] {
  const starts = Array.from({ length: Math.ceil(hashes.length / TOUCHED_AT_ONCE) }, (_, at) => at)
  return starts.map((at) => hashes.slice(at * TOUCHED_AT_ONCE, (at + 1) * TOUCHED_AT_ONCE))
}

/**
 * Makes the folders of a store and sweeps what a crash left half-written, before the first use in a process. What is
 * younger than `keptMilliseconds` may be another server's, which writes at this moment, so the folder of temporary
 * files stays, too; 0: there is no other.
 */
export async function prepareDirectoryStore(folder: string, keptMilliseconds = 0): Promise<void> {
  for (const name of [TEMPORARY_FOLDER, QUARANTINE_FOLDER])
    await mkdir(join(folder, name), { recursive: true, mode: 0o750 })
  for (const prefix of PREFIXES) await mkdir(join(folder, prefix)).catch(ignore('EEXIST'))
  const temporary = join(folder, TEMPORARY_FOLDER)
  for (const name of await readdir(temporary)) {
    const path = join(temporary, name)
    // A chunk that was moved here is as old as it was.
    const found = await stat(path).catch(ignore('ENOENT'))
    if (found && (keptMilliseconds === 0 || Date.now() - found.ctimeMs >= keptMilliseconds))
      await rm(path, { recursive: true, force: true })
  }
}
