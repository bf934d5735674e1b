import fs, { constants } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { readCached } from './cached-read.ts'

/** How the files of a directory store are read: out of memory if they are there, or past it. */

/** What file systems want of addresses, offsets and lengths for O_DIRECT. */
const ALIGNMENT = 4096

/** The one thing in Node whose memory begins at a page. */
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: SharedMemory } }).WebAssembly
type SharedMemory = new (pages: { initial: number; maximum: number; shared: true }) => {
  buffer: SharedArrayBuffer
}

/** Throws as `open` and `read` do. */
export async function readWhole(
  path: string,
  buffer: Uint8Array | undefined,
  fromMedium = false,
  isUrgent = false,
): Promise<Uint8Array> {
  if (fromMedium) return await readDirect(path, buffer)
  if (!buffer) return await readFile(path)
  const length = isUrgent ? readCached(path, buffer) : undefined
  return length === undefined ? await readQuickly(path, buffer) : buffer.subarray(0, length)
}

/**
 * With the calls that take callbacks: for a chunk out of the page cache, the handles and promises
 * of the others take as long as everything else.
 */
function readQuickly(path: string, buffer: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    fs.open(path, 'r', (err, fd) => {
      if (err) return reject(err)
      let length = 0
      const end = (failure: Error | null) => {
        fs.closeSync(fd) // nothing waits for a medium here, so it needs no thread
        if (failure) reject(failure)
        else resolve(buffer.subarray(0, length))
      }
      const next = () =>
        fs.read(fd, buffer, length, buffer.length - length, length, (failure, bytesRead) => {
          if (failure) return end(failure)
          length += bytesRead
          if (isWholeRead(bytesRead, length, buffer)) end(null)
          else next()
        })
      next()
    })
  })
}

/**
 * A whole chunk is shorter than the buffer: what fills it is found to be none. Nothing follows a short
 * read of a file but its end; for O_DIRECT what is left is not aligned.
 */
function isWholeRead(bytesRead: number, length: number, buffer: Uint8Array): boolean {
  return bytesRead === 0 || length === buffer.length || length % ALIGNMENT !== 0
}

async function readInto(file: FileHandle, buffer: Uint8Array): Promise<Uint8Array> {
  for (let length = 0; ;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
    length += bytesRead
    if (isWholeRead(bytesRead, length, buffer)) return buffer.subarray(0, length)
  }
}

/** A page-aligned buffer for one reader at a time. */
export function alignedBuffer(): Uint8Array<SharedArrayBuffer> {
  const pages = Math.ceil((LONGEST_STORED_BYTES + ALIGNMENT) / 65_536)
  return new Uint8Array(new Memory({ initial: pages, maximum: pages, shared: true }).buffer)
}

/** With O_DIRECT, which some file systems lack: then as ever. `buffer` must be an aligned one. */
async function readDirect(path: string, buffer: Uint8Array = alignedBuffer()): Promise<Uint8Array> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_DIRECT)
    return await readInto(file, buffer)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EINVAL') throw err
    await using file = await open(path, 'r')
    return await readInto(file, buffer)
  }
}
