import { randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  futimesSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Sha256 } from '#protocol/sha256.ts'
import { codecOf } from './chunk-codec.ts'
import { CODECS, fileName, sizeOf } from './chunk-file.ts'
import type { Codec, StoredSize } from './chunk-store.ts'
import { codeOf } from './directory-error.ts'

/**
 * How the files of a directory store are looked at and made: for threads that may wait, with calls
 * that do. A chunk takes about ten of them, and each turn of libuv's pool costs as much as all ten.
 */

export const TEMPORARY_FOLDER = 'tmp'

export function chunkPath(folder: string, hash: Sha256, codec: Codec): string {
  return join(folder, hash.slice(0, 2), fileName(hash, codec))
}

export function getCodec(hash: Sha256, bytes: Uint8Array): Codec {
  const codec = codecOf(bytes)
  if (!codec) throw new TypeError(`Chunk "${hash}" is neither a gzip member nor a zstd frame`)
  return codec
}

/** A new name for what is not whole yet. */
export function temporaryPath(folder: string): string {
  return join(folder, TEMPORARY_FOLDER, randomUUID())
}

/** Where its file system is not mounted, it is not. */
export function isStoreThere(folder: string): boolean {
  return existsSync(join(folder, TEMPORARY_FOLDER))
}

/** Its size if it is here, and from now on no sweep with an earlier cutoff takes it. */
export function touchChunk(folder: string, hash: Sha256): StoredSize | undefined {
  for (const codec of CODECS) {
    const size = touchFile(chunkPath(folder, hash, codec), codec)
    if (size) return size
  }
  assertFolder(join(folder, hash.slice(0, 2)))
  return undefined
}

/** What is no folder has no files, but no chunk is absent for that. */
function assertFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
    throw Object.assign(new Error(`"${path}" of the chunk store is no folder`), {
      code: 'ENOTDIR',
      errno: -constants.errno.ENOTDIR,
    })
}

function touchFile(path: string, codec: Codec): StoredSize | undefined {
  // Most are not there, and to make an error of that takes longer than the call.
  if (!isThere(path)) return undefined
  try {
    const size = lookAt(path, codec)
    // By its path, not by the handle: a file that a sweep has moved away must not count as here.
    if (size) utimesSync(path, new Date(), new Date())
    return size
  } catch (err) {
    if (codeOf(err) !== 'ENOENT') throw err
    return undefined
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function lookAt(path: string, codec: Codec): StoredSize | undefined {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    return sizeOf(size, codec, (buffer, offset) => readSync(fd, buffer, 0, buffer.length, offset))
  } finally {
    closeSync(fd)
  }
}

/** Stores all of `bytes` or nothing; a whole chunk that is already here is left as it is, and touched. */
export function placeChunk(folder: string, hash: Sha256, bytes: Uint8Array): void {
  if (touchChunk(folder, hash)) return
  const codec = getCodec(hash, bytes)
  const temporary = temporaryPath(folder)
  try {
    writeFile(temporary, bytes)
    linkUnlessWhole(temporary, chunkPath(folder, hash, codec), codec)
    // A stump of the other codec would be found first, or kept for ever.
    for (const other of CODECS) if (other !== codec) unlinkIfThere(chunkPath(folder, hash, other))
  } finally {
    unlinkIfThere(temporary)
  }
}

function writeFile(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, 'wx', 0o640)
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done)
    // The kernel's own time stamps lag a few milliseconds behind the clock that cutoffs come from.
    futimesSync(fd, new Date(), new Date())
  } finally {
    closeSync(fd)
  }
}

function linkUnlessWhole(temporary: string, path: string, codec: Codec): void {
  try {
    linkSync(temporary, path)
  } catch (err) {
    if (codeOf(err) !== 'EEXIST') throw err
    // Another writer was first, or a power failure left a stump there: only that is replaced.
    if (!touchFile(path, codec)) renameSync(temporary, path)
  }
}

function unlinkIfThere(path: string): void {
  if (!isThere(path)) return
  try {
    unlinkSync(path)
  } catch (err) {
    if (codeOf(err) !== 'ENOENT') throw err
  }
}
