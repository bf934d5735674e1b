import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { ByteRange } from './byte-range.ts'
import { DiskError } from './disk-error.ts'
import { keepsZeros } from './queue-facts.ts'
import * as system from './system-calls.ts'
import { createZeroer, writeWhole } from './zero-range.ts'

const EBUSY_CODES = new Set(['EBUSY', 'ETXTBSY'])

/**
 * A disk, or a file that stands for one, read and written past the page cache: buffers must be
 * page-aligned, offsets and lengths multiples of its sector size.
 */
export interface Device extends AsyncDisposable {
  readonly path: string
  readonly sizeBytes: number
  readonly kind: 'block' | 'file'
  /** Where zeros were read once they stay, also where they come from a discard. */
  readonly keepsZeros: boolean
  /** Fills `buffer` from `start` on. Throws where the device ends before. */
  read(buffer: Buffer, start: number): Promise<void>
  write(buffer: Buffer, start: number): Promise<void>
  /** The range reads as zeros afterwards. */
  zero(range: ByteRange): Promise<void>
  /** Making zeros is known to cost next to nothing, so there is no use in looking first. */
  zeroesQuickly(): boolean
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
  const flags = access === 'write' ? constants.O_RDWR : constants.O_RDONLY
  return await openWith(path, flags | constants.O_EXCL)
}

/** Opens a disk for a look beside those that use it, mounted or not; it can't be written through this. */
export async function openDeviceToLook(path: string): Promise<Device> {
  return await openWith(path, constants.O_RDONLY)
}

async function openWith(path: string, flags: number): Promise<Device> {
  const { file, isDirect } = await openPastCache(path, flags)
  try {
    const stat = await file.stat()
    const kind = stat.isBlockDevice() ? 'block' : 'file'
    const sizeBytes = kind === 'block' ? system.blockDeviceBytes(file.fd) : stat.size
    const keepsZerosHere = kind === 'block' && (await keepsZeros(path))
    return createDevice({ path, file, kind, sizeBytes, isDirect, keepsZerosHere })
  } catch (err) {
    await file.close()
    throw err
  }
}

async function openPastCache(path: string, flags: number) {
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
  keepsZerosHere: boolean
}

function createDevice({ path, file, kind, sizeBytes, isDirect, keepsZerosHere }: Opened): Device {
  const { fd } = file
  const zeroer = createZeroer({ path, file, kind })
  return {
    path,
    sizeBytes,
    kind,
    read: (buffer, start) => readWhole(path, file, buffer, start),
    write: (buffer, start) => writeWhole(path, file, buffer, start),
    keepsZeros: kind === 'file' || keepsZerosHere,
    zero: (range) => zeroer.zero(range),
    zeroesQuickly: () => zeroer.isQuick(),
    async discard({ start, end }) {
      if (kind === 'block') await system.discard(fd, start, end - start)
      else await system.punchHole(fd, start, end - start)
    },
    flush: () =>
      file.sync().catch((err: unknown) => {
        throw new DiskError(path, 'flush its cache', err)
      }),
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
    const { bytesRead } = await file
      .read(buffer, done, buffer.length - done, start + done)
      .catch((err: unknown) => {
        throw new DiskError(path, `read at byte ${start + done}`, err)
      })
    if (bytesRead === 0)
      throw new Error(
        `Disk "${path}" ended at byte ${start + done} where ${buffer.length - done} more were expected`,
      )
    done += bytesRead
  }
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
