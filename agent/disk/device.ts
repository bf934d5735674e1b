import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import * as system from './system-calls.ts'

/** Zeros are written in pieces of this size where the kernel can't do better. */
const ZERO_PIECE_BYTES = 1024 * 1024
const PAGE_BYTES = 4096
const EBUSY_CODES = new Set(['EBUSY', 'ETXTBSY'])

export interface ByteRange {
  start: number
  end: number
}

/**
 * A disk, or a file that stands for one, read and written past the page cache: buffers must be
 * page-aligned, offsets and lengths multiples of its sector size.
 */
export interface Device extends AsyncDisposable {
  readonly path: string
  readonly sizeBytes: number
  readonly kind: 'block' | 'file'
  /** Fills `buffer` from `start` on. Throws where the device ends before. */
  read(buffer: Buffer, start: number): Promise<void>
  write(buffer: Buffer, start: number): Promise<void>
  /** The range reads as zeros afterwards. */
  zero(range: ByteRange): Promise<void>
  /** The content of the range does not matter any more. */
  discard(range: ByteRange): Promise<void>
  /** All that was written is on the medium. */
  flush(): Promise<void>
  /** What is read from now on comes from the device, not from memory. */
  dropCache(): void
  /** Lets nobody write, and undoes that with the function returned. */
  holdReadOnly(): () => void
  /** Tells the kernel of a new partition table; false if it can't take it now. */
  rereadPartitionTable(): boolean
}

export class DeviceBusyError extends Error {
  override name = 'DeviceBusyError'
}

/**
 * Opens a disk exclusively: the kernel refuses while it or a partition of it is mounted or held by
 * MD, LVM or swap, and refuses those while we have it. Throws DeviceBusyError.
 */
export async function openDevice(path: string, access: 'read' | 'write'): Promise<Device> {
  const { file, isDirect } = await openPastCache(path, access)
  try {
    const stat = await file.stat()
    const kind = stat.isBlockDevice() ? 'block' : 'file'
    const sizeBytes = kind === 'block' ? system.blockDeviceBytes(file.fd) : stat.size
    return createDevice({ path, file, kind, sizeBytes, isDirect })
  } catch (err) {
    await file.close()
    throw err
  }
}

async function openPastCache(path: string, access: 'read' | 'write') {
  const flags = (access === 'write' ? constants.O_RDWR : constants.O_RDONLY) | constants.O_EXCL
  try {
    return { file: await open(path, flags | constants.O_DIRECT), isDirect: true }
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code
    if (code !== undefined && EBUSY_CODES.has(code))
      throw new DeviceBusyError(`Disk "${path}" is in use; unmount or stop what uses it`)
    // Some file systems have no O_DIRECT; there the cache is dropped before the read-back.
    if (code !== 'EINVAL') throw err
    return { file: await open(path, flags), isDirect: false }
  }
}

interface Opened {
  path: string
  file: FileHandle
  kind: 'block' | 'file'
  sizeBytes: number
  isDirect: boolean
}

function createDevice({ path, file, kind, sizeBytes, isDirect }: Opened): Device {
  const { fd } = file
  return {
    path,
    sizeBytes,
    kind,
    read: (buffer, start) => readWhole(path, file, buffer, start),
    write: (buffer, start) => writeWhole(path, file, buffer, start),
    async zero({ start, end }) {
      const length = end - start
      const isZero =
        kind === 'block'
          ? await system.zeroOut(fd, start, length)
          : await system.punchHole(fd, start, length)
      if (!isZero) await writeZeros(path, file, { start, end })
    },
    async discard({ start, end }) {
      if (kind === 'block') await system.discard(fd, start, end - start)
      else await system.punchHole(fd, start, end - start)
    },
    flush: () => file.sync(),
    dropCache() {
      if (kind === 'block') system.dropDeviceCache(fd)
      else if (!isDirect) system.dropFileCache(fd)
    },
    holdReadOnly: () => (kind === 'block' ? holdReadOnly(fd) : () => {}),
    rereadPartitionTable: () => (kind === 'block' ? rereadPartitionTable(fd) : false),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

async function readWhole(path: string, file: FileHandle, buffer: Buffer, start: number) {
  for (let done = 0; done < buffer.length;) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, start + done)
    if (bytesRead === 0)
      throw new Error(
        `Disk "${path}" ended at byte ${start + done} where ${buffer.length - done} more were expected`,
      )
    done += bytesRead
  }
}

async function writeWhole(path: string, file: FileHandle, buffer: Buffer, start: number) {
  for (let done = 0; done < buffer.length;) {
    const { bytesWritten } = await file.write(buffer, done, buffer.length - done, start + done)
    if (bytesWritten === 0)
      throw new Error(`Disk "${path}" takes no more bytes at byte ${start + done}`)
    done += bytesWritten
  }
}

let zeros: Buffer | undefined

async function writeZeros(path: string, file: FileHandle, { start, end }: ByteRange) {
  zeros ??= system.alignedMemory(PAGE_BYTES, ZERO_PIECE_BYTES).fill(0)
  for (let at = start; at < end; at += ZERO_PIECE_BYTES)
    await writeWhole(path, file, zeros.subarray(0, Math.min(ZERO_PIECE_BYTES, end - at)), at)
}

function holdReadOnly(fd: number): () => void {
  // A flag that was never set needs no undoing: on a loop device it would outlive the device.
  if (system.isReadOnly(fd)) return () => {}
  system.setReadOnly(fd, true)
  return () => system.setReadOnly(fd, false)
}

function rereadPartitionTable(fd: number): boolean {
  try {
    system.rereadPartitionTable(fd)
    return true
  } catch (err) {
    // EBUSY where someone looks at the old partitions, EINVAL where the disk can have none (loop).
    if (err instanceof system.SystemCallError) return false
    throw err
  }
}
