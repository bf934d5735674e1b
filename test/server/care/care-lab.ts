import assert from 'node:assert/strict'
import { zstdCompressSync, constants } from 'node:zlib'
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import type { Image } from '#protocol/image/image-info.ts'
import {
  CHUNK_BYTES,
  encodeManifest,
  encodeSegment,
  type ChunkReference,
} from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { type ImageLibrary, openImageLibrary } from '#server/api/library/image-library.ts'
import { createDatabaseCommitLock } from '#server/db/images/commit-lock.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { openRecompression } from '#server/care/recompress-job.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'
import type { DatabaseKind } from '#test/support/database.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'

export const log = pino({ level: 'silent' })
const DEADLINE_MILLISECONDS = 60_000

export async function waitFor(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MILLISECONDS
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `Not in time: ${what}`)
    await sleep(20)
  }
}

/** The highest levels take half a second for a MiB of text. */
const TEXT_BYTES = MIB / 8

/** Each chunk begins with text that level 1 leaves something of to the higher ones, different in every chunk. */
export function compressibleDisk(chunks: number, seed = ''): Buffer {
  const disk = Buffer.alloc(chunks * MIB)
  let state = 1 + seed.length
  for (let start = 0; start < disk.length; start += MIB) {
    const text = disk.subarray(start, start + TEXT_BYTES)
    for (let offset = 0; offset < text.length;) {
      // A linear congruential generator: the same disk every time.
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      offset += text.write(
        `${seed}${(state >>> 16) % 997} of ${(state >>> 8) % 31} words; `,
        offset,
      )
    }
  }
  return disk
}

/** Puts a disk into the store as an agent does, at the level that is fastest. */
export async function captureDisk(
  store: ChunkStore,
  library: ImageLibrary,
  name: string,
  disk: Buffer,
): Promise<Image> {
  const put = async (content: Uint8Array): Promise<Sha256> => {
    const hash = sha256(content)
    await store.putIfAbsent(
      hash,
      zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    )
    return hash
  }
  const references: ChunkReference[] = []
  for (let start = 0; start < disk.length; start += CHUNK_BYTES)
    references.push(await put(disk.subarray(start, start + CHUNK_BYTES)))
  const segments = [await put(encodeSegment(references))]
  const manifest = encodeManifest({ sizeBytes: disk.length, sectorBytes: 512, segments })
  return library.commit(name, manifest, `test:${name}`)
}

export function openLibrary(
  database: OpenedDatabase,
  kind: DatabaseKind,
  { store, spoolFolder }: { store: ChunkStore; spoolFolder: string },
): ImageLibrary {
  return openImageLibrary({
    database,
    store,
    lock: kind === 'postgres' ? createDatabaseCommitLock(database.db) : createCommitLock(),
    spoolFolder,
    maxImageBytes: 2 ** 40,
    replacedGraceSeconds: 0,
    log,
    now: () => new Date(),
  })
}

/** One round of recompression, with nothing else to do unless it says otherwise. */
export function openRound(
  database: OpenedDatabase,
  library: ImageLibrary,
  {
    isIdle = async () => true,
    hasRoom = async () => true,
    store = library.store,
  }: Partial<RoundOptions> = {},
) {
  return openRecompression({
    db: database.db,
    store,
    lock: library.lock,
    log,
    enabled: true,
    isIdle,
    hasRoom,
    onDamaged: async () => {},
    onRenewed: () => {},
  })
}

interface RoundOptions {
  isIdle: () => Promise<boolean>
  hasRoom: () => Promise<boolean>
  store: ChunkStore
}

/** As a file system check does, or somebody with a shell. */
export async function removeChunk(folder: string, hash: string): Promise<void> {
  await rm(await chunkFileOf(folder, hash))
}

async function chunkFileOf(folder: string, hash: string): Promise<string> {
  const paths = await chunkFilesOf(folder)
  const path = paths.find((each) =>
    each.replace(`${folder}/`, '').replace('/', '').startsWith(hash),
  )
  assert.ok(path, `No file of ${hash}`)
  return path
}

/** Names of a store's files without those that are temporary. */
export async function chunkFilesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /[/][0-9a-f]{2}$/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/**
 * Turns over a byte in the middle of a chunk's file, as a medium does. All of its bits: of the header
 * of a stored block (RFC 1951, section 3.2.4), which may be there, five bits mean nothing.
 */
export async function rot(folder: string, hash: Sha256): Promise<void> {
  const path = await chunkFileOf(folder, hash)
  const bytes = await readFile(path)
  bytes[bytes.length >> 1]! ^= 0xff
  await writeFile(path, bytes)
}

export async function readAll(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(Buffer.from(part))
  return Buffer.concat(all)
}

export const chunkHash = (disk: Buffer, index: number) =>
  parseSha256(sha256(disk.subarray(index * MIB, (index + 1) * MIB)))
