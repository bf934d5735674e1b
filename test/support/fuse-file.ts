import { closeSync, constants, openSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import koffi from 'koffi'
import {
  FUSE_BLOCK_BYTES,
  FUSE_IN_HEADER_BYTES,
  FUSE_OPCODES,
  fuseAttributes,
  type FuseReply,
  fuseStatistics,
  readFuseRequest,
  sendFuseReply,
} from '#agent/used/fuse-protocol.ts'

/**
 * One file of our own making: what the kernel reads and writes of it is asked of a function. It speaks the
 * kernel's FUSE protocol (include/uapi/linux/fuse.h) as far as a loop device needs it.
 */

const MS_NOSUID = 2
const MS_NODEV = 4
const MNT_DETACH = 2

/** 256 pages, the most that a kernel hands over at once. */
const MAX_WRITE_BYTES = 1024 * 1024
const MAX_REQUEST_BYTES = MAX_WRITE_BYTES + 64 * 1024

const ASYNC_READ = 1 << 0
const BIG_WRITES = 1 << 5
const ASYNC_DIO = 1 << 15
const MAX_PAGES = 1 << 22
const FOPEN_DIRECT_IO = 1
const FALLOC_FL_PUNCH_HOLE = 2

export const ERRNO = { EIO: 5, ENOSPC: 28 } as const
export type Errno = keyof typeof ERRNO
const ENOSYS = 38

/** What the kernel wants of the file; bytes, half-open. */
export interface DiskRequest {
  kind: 'read' | 'write' | 'zero' | 'discard' | 'flush'
  start: number
  end: number
  /** Of a write. */
  data: Buffer
}

/** The bytes of a read, nothing for the others, or the error that the kernel gets. */
export type DiskAnswer = Buffer | Errno | undefined
export type Answerer = (request: DiskRequest) => DiskAnswer | Promise<DiskAnswer>

export interface FuseFile extends AsyncDisposable {
  readonly path: string
  /** Whoever has it open keeps it; nobody else finds it any more. */
  unmount(): void
}

const libc = koffi.load('libc.so.6')
const mount = libc.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
)
const umount2 = libc.func('int umount2(const char *target, int flags)')

/**
 * Needs root. This process must not wait for the file with a call that blocks: it is what answers.
 */
export async function openFuseFile(
  path: string,
  sizeBytes: number,
  answer: Answerer,
): Promise<FuseFile> {
  await writeFile(path, '')
  const fd = openSync('/dev/fuse', constants.O_RDWR)
  const options = `fd=${fd},rootmode=100000,user_id=0,group_id=0`
  if (mount('stampede-test', path, 'fuse', MS_NOSUID | MS_NODEV, options) !== 0) {
    closeSync(fd)
    throw new Error(`Mounting a file at "${path}" failed with error number ${koffi.errno()}`)
  }
  let isMounted = true
  const served = serve(fd, sizeBytes, answer)
  const unmount = () => {
    if (isMounted) umount2(path, MNT_DETACH)
    isMounted = false
  }
  return {
    path,
    unmount,
    async [Symbol.asyncDispose]() {
      unmount()
      await served
      closeSync(fd)
      await rm(path, { force: true })
    },
  }
}

/** Until the file is unmounted and nobody has it open. */
async function serve(fd: number, sizeBytes: number, answer: Answerer): Promise<void> {
  for (;;) {
    // A fresh one each time: the data of a write stays with whoever got it.
    const buffer = Buffer.allocUnsafeSlow(MAX_REQUEST_BYTES)
    const length = await readFuseRequest(fd, buffer)
    if (length === undefined) return
    // Not awaited: a request that is slow does not hold up the others, as on a disk.
    void perform(buffer.subarray(0, length), sizeBytes, answer).then((reply) => {
      if (reply) sendFuseReply(fd, buffer.readBigUInt64LE(8), reply)
    })
  }
}

async function perform(
  request: Buffer,
  sizeBytes: number,
  answer: Answerer,
): Promise<FuseReply | undefined> {
  const opcode = request.readUInt32LE(4)
  const body = request.subarray(FUSE_IN_HEADER_BYTES)
  switch (opcode) {
    case FUSE_OPCODES.forget:
    case FUSE_OPCODES.batchForget:
      return undefined
    case FUSE_OPCODES.init:
      return initAnswer()
    case FUSE_OPCODES.getattr:
    case FUSE_OPCODES.setattr:
      return fuseAttributes(sizeBytes, 0o600, 0)
    case FUSE_OPCODES.open:
      return openAnswer()
    case FUSE_OPCODES.statfs:
      return fuseStatistics()
    case FUSE_OPCODES.release:
    case FUSE_OPCODES.flush:
    case FUSE_OPCODES.destroy:
      return Buffer.alloc(0)
  }
  const wanted = diskRequest(opcode, body)
  if (!wanted) return ENOSYS
  const answered = await answer(wanted)
  if (typeof answered === 'string') return ERRNO[answered]
  return answered ?? (wanted.kind === 'write' ? written(wanted.data.length) : Buffer.alloc(0))
}

function diskRequest(opcode: number, body: Buffer): DiskRequest | undefined {
  const none = Buffer.alloc(0)
  if (opcode === FUSE_OPCODES.fsync) return { kind: 'flush', start: 0, end: 0, data: none }
  if (
    opcode !== FUSE_OPCODES.read &&
    opcode !== FUSE_OPCODES.write &&
    opcode !== FUSE_OPCODES.fallocate
  )
    return
  const start = Number(body.readBigUInt64LE(8))
  if (opcode === FUSE_OPCODES.fallocate) {
    const end = start + Number(body.readBigUInt64LE(16))
    const isPunched = (body.readUInt32LE(24) & FALLOC_FL_PUNCH_HOLE) !== 0
    return { kind: isPunched ? 'discard' : 'zero', start, end, data: none }
  }
  const end = start + body.readUInt32LE(16)
  if (opcode === FUSE_OPCODES.read) return { kind: 'read', start, end, data: none }
  return { kind: 'write', start, end, data: body.subarray(40, 40 + end - start) }
}

function initAnswer(): Buffer {
  const answer = Buffer.alloc(64)
  answer.writeUInt32LE(7, 0)
  answer.writeUInt32LE(31, 4)
  answer.writeUInt32LE(ASYNC_READ | BIG_WRITES | ASYNC_DIO | MAX_PAGES, 12)
  answer.writeUInt16LE(64, 16) // requests in the background
  answer.writeUInt16LE(48, 18) // from so many on it is congested
  answer.writeUInt32LE(MAX_WRITE_BYTES, 20)
  answer.writeUInt32LE(1, 24) // granularity of times, ns
  answer.writeUInt16LE(MAX_WRITE_BYTES / FUSE_BLOCK_BYTES, 28)
  return answer
}

function openAnswer(): Buffer {
  const answer = Buffer.alloc(16)
  answer.writeUInt32LE(FOPEN_DIRECT_IO, 8)
  return answer
}

function written(bytes: number): Buffer {
  const answer = Buffer.alloc(8)
  answer.writeUInt32LE(bytes, 0)
  return answer
}
