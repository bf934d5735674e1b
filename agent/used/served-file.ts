import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Exec } from '../exec.ts'
import { mountFuse, unmountFuse } from '../disk/system-calls.ts'
import {
  FUSE_BLOCK_BYTES,
  FUSE_IN_HEADER_BYTES,
  FUSE_OPCODES,
  fuseAttributes,
  type FuseReply,
  fuseStatistics,
  readFuseRequest,
  sendFuseReply,
} from './fuse-protocol.ts'

/**
 * A file whose bytes a function tells, read-only: the kernel's FUSE protocol (include/uapi/linux/fuse.h) as far as
 * one file needs it. For programs that read a device and nothing else, where there is no such device.
 */
export interface ServedFile extends AsyncDisposable {
  readonly path: string
}

/** Tells the bytes of `[start, end)`. */
export type Teller = (start: number, end: number) => Promise<Uint8Array>

/** Requests carry a header and, since nothing can be written, next to nothing more. */
const MAX_REQUEST_BYTES = 128 * 1024 + 8192
/** What is told of the file stays true while it is there. */
const VALID_SECONDS = 3600
const EIO = 5
const ENOSYS = 38
const ASYNC_READ = 1

/** Needs root, as all that looks at disks. This process must not wait for the file with a call that blocks. */
export async function openServedFile(
  exec: Exec,
  sizeBytes: number,
  tell: Teller,
): Promise<ServedFile> {
  // In the initramfs nobody loads a module because a program asks for a node that is missing.
  if (!existsSync('/dev/fuse')) await exec('modprobe', ['fuse'])
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-view-'))
  opened.defer(() => rm(folder, { recursive: true }))
  const path = join(folder, 'volume')
  await writeFile(path, '')
  const fd = openSync('/dev/fuse', constants.O_RDWR)
  opened.defer(() => closeSync(fd))
  mountFuse(path, fd)
  const served = serve(fd, sizeBytes, tell)
  opened.defer(async () => {
    unmountFuse(path)
    await served
  })
  const resources = opened.move()
  return { path, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** Until the file is unmounted. */
async function serve(fd: number, sizeBytes: number, tell: Teller): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(MAX_REQUEST_BYTES)
  for (;;) {
    const length = await readFuseRequest(fd, buffer)
    if (length === undefined) return
    const unique = buffer.readBigUInt64LE(8)
    const reply = await answer(buffer.subarray(0, length), sizeBytes, tell)
    if (reply !== undefined) sendFuseReply(fd, unique, reply)
  }
}

/** Undefined: none is waited for. */
async function answer(
  request: Buffer,
  sizeBytes: number,
  tell: Teller,
): Promise<FuseReply | undefined> {
  const body = request.subarray(FUSE_IN_HEADER_BYTES)
  switch (request.readUInt32LE(4)) {
    case FUSE_OPCODES.forget:
    case FUSE_OPCODES.batchForget:
      return undefined
    case FUSE_OPCODES.init:
      return initAnswer()
    case FUSE_OPCODES.getattr:
      return fuseAttributes(sizeBytes, 0o400, VALID_SECONDS)
    case FUSE_OPCODES.open:
      return Buffer.alloc(16)
    case FUSE_OPCODES.statfs:
      return fuseStatistics()
    case FUSE_OPCODES.release:
    case FUSE_OPCODES.flush:
    case FUSE_OPCODES.destroy:
      return Buffer.alloc(0)
    case FUSE_OPCODES.read: {
      const start = Number(body.readBigUInt64LE(8))
      const end = Math.min(sizeBytes, start + body.readUInt32LE(16))
      if (start >= end) return Buffer.alloc(0)
      // Whoever asked is told that it failed, as a disk would.
      return await tell(start, end).catch(() => EIO)
    }
  }
  return ENOSYS
}

function initAnswer(): Buffer {
  const told = Buffer.alloc(64)
  told.writeUInt32LE(7, 0)
  told.writeUInt32LE(31, 4)
  told.writeUInt32LE(128 * 1024, 8) // read ahead
  told.writeUInt32LE(ASYNC_READ, 12)
  told.writeUInt16LE(16, 16) // requests in the background
  told.writeUInt16LE(12, 18) // from so many on it is congested
  told.writeUInt32LE(FUSE_BLOCK_BYTES, 20) // of a write, had we any
  told.writeUInt32LE(1, 24) // granularity of times, ns
  return told
}
