import { read, writeSync } from 'node:fs'
import { promisify } from 'node:util'

/**
 * What passes between the kernel and a program that serves one file (include/uapi/linux/fuse.h): how a request
 * is read and answered, and what is told of the file.
 */

export const FUSE_IN_HEADER_BYTES = 40
export const FUSE_BLOCK_BYTES = 4096
const OUT_HEADER_BYTES = 16

export const FUSE_OPCODES = {
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
} as const

const readFrom = promisify(read)

/** How many bytes of `buffer` the next request is; undefined once the file is unmounted. */
export async function readFuseRequest(fd: number, buffer: Buffer): Promise<number | undefined> {
  for (;;) {
    try {
      return (await readFrom(fd, buffer, 0, buffer.length, null)).bytesRead
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException
      // ECONNABORTED: it was being unmounted while a request was on its way to us (the kernel's fs/fuse/dev.c).
      if (code === 'ENODEV' || code === 'ECONNABORTED') return undefined
      // ENOENT: the request was taken back before we read it.
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw err
    }
  }
}

/** An error number, or what goes into the answer. */
export type FuseReply = number | Uint8Array

export function sendFuseReply(fd: number, unique: bigint, reply: FuseReply): void {
  const body = typeof reply === 'number' ? new Uint8Array(0) : reply
  const header = Buffer.alloc(OUT_HEADER_BYTES)
  header.writeUInt32LE(OUT_HEADER_BYTES + body.length, 0)
  header.writeInt32LE(typeof reply === 'number' ? -reply : 0, 4)
  header.writeBigUInt64LE(unique, 8)
  try {
    writeSync(fd, Buffer.concat([header, body]))
  } catch (err) {
    // ENOENT: nobody waits for it any more. ENODEV: unmounted.
    const { code } = err as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENODEV') throw err
  }
}

/** Of the one file; for so many seconds the kernel need not ask again. */
export function fuseAttributes(sizeBytes: number, mode: number, seconds: number): Buffer {
  const told = Buffer.alloc(104)
  told.writeBigUInt64LE(BigInt(seconds), 0)
  const attribute = told.subarray(16)
  attribute.writeBigUInt64LE(1n, 0)
  attribute.writeBigUInt64LE(BigInt(sizeBytes), 8)
  attribute.writeBigUInt64LE(BigInt(sizeBytes / 512), 16)
  attribute.writeUInt32LE(0o100000 | mode, 60)
  attribute.writeUInt32LE(1, 64)
  attribute.writeUInt32LE(FUSE_BLOCK_BYTES, 80)
  return told
}

/** Without a block size a loop device believes that its file can't have holes. */
export function fuseStatistics(): Buffer {
  const told = Buffer.alloc(80)
  told.writeUInt32LE(FUSE_BLOCK_BYTES, 40)
  told.writeUInt32LE(255, 44) // length of names
  told.writeUInt32LE(FUSE_BLOCK_BYTES, 48)
  return told
}
