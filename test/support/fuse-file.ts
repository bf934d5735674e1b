import { closeSync, constants, openSync, read, writeSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import koffi from 'koffi'

/**
 * One file of our own making: what the kernel reads and writes of it is asked of a function. It speaks the
 * kernel's FUSE protocol (include/uapi/linux/fuse.h) as far as a loop device needs it.
 */

const MS_NOSUID = 2
const MS_NODEV = 4
const MNT_DETACH = 2

const IN_HEADER_BYTES = 40
const OUT_HEADER_BYTES = 16
const BLOCK_BYTES = 4096
/** 256 pages, the most that a kernel hands over at once. */
const MAX_WRITE_BYTES = 1024 * 1024
const MAX_REQUEST_BYTES = MAX_WRITE_BYTES + 64 * 1024

const OPCODES = {
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
const readFrom = promisify(read)

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
    const length = await readRequest(fd, buffer)
    if (length === undefined) return
    // Not awaited: a request that is slow does not hold up the others, as on a disk.
    void perform(buffer.subarray(0, length), sizeBytes, answer).then((reply) => {
      if (reply) send(fd, buffer.readBigUInt64LE(8), reply)
    })
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

/** An error number, or what goes into the answer. */
type Reply = number | Buffer

async function perform(
  request: Buffer,
  sizeBytes: number,
  answer: Answerer,
): Promise<Reply | undefined> {
  const opcode = request.readUInt32LE(4)
  const body = request.subarray(IN_HEADER_BYTES)
  switch (opcode) {
    case OPCODES.forget:
    case OPCODES.batchForget:
      return undefined
    case OPCODES.init:
      return initAnswer()
    case OPCODES.getattr:
    case OPCODES.setattr:
      return attributes(sizeBytes)
    case OPCODES.open:
      return openAnswer()
    case OPCODES.statfs:
      return statistics()
    case OPCODES.release:
    case OPCODES.flush:
    case OPCODES.destroy:
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
  if (opcode === OPCODES.fsync) return { kind: 'flush', start: 0, end: 0, data: none }
  if (opcode !== OPCODES.read && opcode !== OPCODES.write && opcode !== OPCODES.fallocate) return
  const start = Number(body.readBigUInt64LE(8))
  if (opcode === OPCODES.fallocate) {
    const end = start + Number(body.readBigUInt64LE(16))
    const isPunched = (body.readUInt32LE(24) & FALLOC_FL_PUNCH_HOLE) !== 0
    return { kind: isPunched ? 'discard' : 'zero', start, end, data: none }
  }
  const end = start + body.readUInt32LE(16)
  if (opcode === OPCODES.read) return { kind: 'read', start, end, data: none }
  return { kind: 'write', start, end, data: body.subarray(40, 40 + end - start) }
}

function send(fd: number, unique: bigint, reply: Reply): void {
  const body = typeof reply === 'number' ? Buffer.alloc(0) : reply
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
  const answer = Buffer.alloc(64)
  answer.writeUInt32LE(7, 0)
  answer.writeUInt32LE(31, 4)
  answer.writeUInt32LE(ASYNC_READ | BIG_WRITES | ASYNC_DIO | MAX_PAGES, 12)
  answer.writeUInt16LE(64, 16) // requests in the background
  answer.writeUInt16LE(48, 18) // from so many on it is congested
  answer.writeUInt32LE(MAX_WRITE_BYTES, 20)
  answer.writeUInt32LE(1, 24) // granularity of times, ns
  answer.writeUInt16LE(MAX_WRITE_BYTES / BLOCK_BYTES, 28)
  return answer
}

function openAnswer(): Buffer {
  const answer = Buffer.alloc(16)
  answer.writeUInt32LE(FOPEN_DIRECT_IO, 8)
  return answer
}

function attributes(sizeBytes: number): Buffer {
  const answer = Buffer.alloc(104)
  const attribute = answer.subarray(16)
  attribute.writeBigUInt64LE(1n, 0)
  attribute.writeBigUInt64LE(BigInt(sizeBytes), 8)
  attribute.writeBigUInt64LE(BigInt(sizeBytes / 512), 16)
  attribute.writeUInt32LE(0o100600, 60)
  attribute.writeUInt32LE(1, 64)
  attribute.writeUInt32LE(BLOCK_BYTES, 80)
  return answer
}

/** Without a block size a loop device believes that its file can't have holes. */
function statistics(): Buffer {
  const answer = Buffer.alloc(80)
  answer.writeUInt32LE(BLOCK_BYTES, 40)
  answer.writeUInt32LE(255, 44) // length of names
  answer.writeUInt32LE(BLOCK_BYTES, 48)
  return answer
}

function written(bytes: number): Buffer {
  const answer = Buffer.alloc(8)
  answer.writeUInt32LE(bytes, 0)
  return answer
}
