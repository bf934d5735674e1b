import { closeSync, constants, existsSync, openSync, read, writeSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Exec } from '../exec.ts'
import { mountFuse, unmountFuse } from '../disk/system-calls.ts'

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
const IN_HEADER_BYTES = 40
const OUT_HEADER_BYTES = 16
const BLOCK_BYTES = 4096
const OPCODES = {
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  flush: 25,
  init: 26,
  destroy: 38,
  batchForget: 42,
} as const
const EIO = 5
const ENOSYS = 38
const ASYNC_READ = 1

const readFrom = promisify(read)

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
    const length = await readRequest(fd, buffer)
    if (length === undefined) return
    const unique = buffer.readBigUInt64LE(8)
    const reply = await answer(buffer.subarray(0, length), sizeBytes, tell)
    if (reply !== undefined) send(fd, unique, reply)
  }
}

async function readRequest(fd: number, buffer: Buffer): Promise<number | undefined> {
  for (;;) {
    try {
      return (await readFrom(fd, buffer, 0, buffer.length, null)).bytesRead
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException
      if (code === 'ENODEV') return undefined
      // ENOENT: the request was taken back before we read it.
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw err
    }
  }
}

/** An error number, or what goes into the answer; undefined: none is waited for. */
type Reply = number | Uint8Array | undefined

async function answer(request: Buffer, sizeBytes: number, tell: Teller): Promise<Reply> {
  const body = request.subarray(IN_HEADER_BYTES)
  switch (request.readUInt32LE(4)) {
    case OPCODES.forget:
    case OPCODES.batchForget:
      return undefined
    case OPCODES.init:
      return initAnswer()
    case OPCODES.getattr:
      return attributes(sizeBytes)
    case OPCODES.open:
      return Buffer.alloc(16)
    case OPCODES.statfs:
      return statistics()
    case OPCODES.release:
    case OPCODES.flush:
    case OPCODES.destroy:
      return Buffer.alloc(0)
    case OPCODES.read: {
      const start = Number(body.readBigUInt64LE(8))
      const end = Math.min(sizeBytes, start + body.readUInt32LE(16))
      if (start >= end) return Buffer.alloc(0)
      // Whoever asked is told that it failed, as a disk would.
      return await tell(start, end).catch(() => EIO)
    }
  }
  return ENOSYS
}

function send(fd: number, unique: bigint, reply: number | Uint8Array): void {
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

function initAnswer(): Buffer {
  const told = Buffer.alloc(64)
  told.writeUInt32LE(7, 0)
  told.writeUInt32LE(31, 4)
  told.writeUInt32LE(128 * 1024, 8) // read ahead
  told.writeUInt32LE(ASYNC_READ, 12)
  told.writeUInt16LE(16, 16) // requests in the background
  told.writeUInt16LE(12, 18) // from so many on it is congested
  told.writeUInt32LE(BLOCK_BYTES, 20) // of a write, had we any
  told.writeUInt32LE(1, 24) // granularity of times, ns
  return told
}

function attributes(sizeBytes: number): Buffer {
  const told = Buffer.alloc(104)
  told.writeBigUInt64LE(3600n, 0) // seconds that it stays true
  const attribute = told.subarray(16)
  attribute.writeBigUInt64LE(1n, 0)
  attribute.writeBigUInt64LE(BigInt(sizeBytes), 8)
  attribute.writeBigUInt64LE(BigInt(sizeBytes / 512), 16)
  attribute.writeUInt32LE(0o100400, 60)
  attribute.writeUInt32LE(1, 64)
  attribute.writeUInt32LE(BLOCK_BYTES, 80)
  return told
}

function statistics(): Buffer {
  const told = Buffer.alloc(80)
  told.writeUInt32LE(BLOCK_BYTES, 40)
  told.writeUInt32LE(255, 44) // length of names
  told.writeUInt32LE(BLOCK_BYTES, 48)
  return told
}
