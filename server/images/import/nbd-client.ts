import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ByteInput } from './byte-input.ts'

/**
 * As much of the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md) as it takes to read
 * a disk from qemu-nbd and to learn where it is all zeros. One request at a time.
 */
export interface NbdDisk extends AsyncDisposable {
  readonly sizeBytes: number
  /** Bytes `[start, start + length)`; at most MAX_READ_BYTES. */
  read(start: number, length: number): Promise<Uint8Array>
  /** How many bytes from `start` on are alike, and whether they are zeros. */
  extent(start: number, length: number): Promise<{ length: number; isZero: boolean }>
}

export class NbdError extends Error {
  override name = 'NbdError'
}

export const MAX_READ_BYTES = 4 * 1024 * 1024
/** A request length is 32 bits; one extent never tells of more. */
const MAX_EXTENT_BYTES = 2 ** 31
/** qemu answers a read from a local file at once, unless the disk hangs. */
const ANSWER_MILLISECONDS = 60_000

const OPTION_MAGIC = 0x49484156454f5054n // "IHAVEOPT"
const GREETING_MAGIC = 0x4e42444d41474943n // "NBDMAGIC"
const OPTION_REPLY_MAGIC = 0x3e889045565a9n
const REQUEST_MAGIC = 0x25609513
const REPLY_MAGIC = 0x668e33ef
const OPTION = { go: 7, structuredReply: 8, setMetaContext: 10 } as const
const OPTION_REPLY = { ack: 1, info: 3 } as const
const COMMAND = { read: 0, disconnect: 2, blockStatus: 7 } as const
const CHUNK = { offsetData: 1, offsetHole: 2, blockStatus: 5, firstError: 32_769 } as const
const FLAG_DONE = 1
const STATE_ZERO = 2
const INFO_EXPORT = 0
const CONTEXT = 'base:allocation'
const MAX_REPLY_BYTES = MAX_READ_BYTES + 1024

export async function openNbd(socketPath: string): Promise<NbdDisk> {
  const socket = connect(socketPath)
  socket.setTimeout(ANSWER_MILLISECONDS, () =>
    socket.destroy(new NbdError(`qemu-nbd did not answer within ${ANSWER_MILLISECONDS} ms`)),
  )
  try {
    await once(socket, 'connect')
    const input = new ByteInput(socket)
    const sizeBytes = await negotiate(socket, input)
    return nbdDisk(socket, input, sizeBytes)
  } catch (err) {
    socket.destroy()
    throw err
  }
}

function nbdDisk(socket: Socket, input: ByteInput, sizeBytes: number): NbdDisk {
  return {
    sizeBytes,

    async read(start, length) {
      const bytes = new Uint8Array(length)
      request(socket, COMMAND.read, start, length)
      for await (const { type, payload } of replies(input)) {
        if (type !== CHUNK.offsetData && type !== CHUNK.offsetHole) continue
        const offset = Number(payload.readBigUInt64BE(0)) - start
        // A hole is zeros, which a new array holds already.
        if (type === CHUNK.offsetData) bytes.set(payload.subarray(8), offset)
      }
      return bytes
    },

    async extent(start, length) {
      request(socket, COMMAND.blockStatus, start, Math.min(length, MAX_EXTENT_BYTES))
      let first: { length: number; isZero: boolean } | undefined
      for await (const { type, payload } of replies(input)) {
        if (type !== CHUNK.blockStatus || first) continue
        const isZero = (payload.readUInt32BE(8) & STATE_ZERO) !== 0
        first = { length: Math.min(length, payload.readUInt32BE(4)), isZero }
      }
      if (!first || first.length === 0) throw new NbdError('qemu-nbd told no extent')
      return first
    },

    async [Symbol.asyncDispose]() {
      request(socket, COMMAND.disconnect, 0, 0)
      socket.destroy()
    },
  }
}

/** Size of the disk. */
async function negotiate(socket: Socket, input: ByteInput): Promise<number> {
  const greeting = await readExactly(input, 18)
  if (greeting.readBigUInt64BE(0) !== GREETING_MAGIC) throw new NbdError('That is no NBD server')
  socket.write(Uint8Array.of(0, 0, 0, 3)) // fixed newstyle, no zero padding

  await sendOption(socket, input, OPTION.structuredReply, Buffer.alloc(0))
  const query = Buffer.from(
    `\0\0\0\0\0\0\0\x01\0\0\0${String.fromCharCode(CONTEXT.length)}${CONTEXT}`,
  )
  await sendOption(socket, input, OPTION.setMetaContext, query)
  const infos = await sendOption(socket, input, OPTION.go, Buffer.alloc(6))
  const exported = infos.find((info) => info.readUInt16BE(0) === INFO_EXPORT)
  if (!exported) throw new NbdError('qemu-nbd did not tell the size of the disk')
  return Number(exported.readBigUInt64BE(2))
}

/** The information that came before the acknowledgement. */
async function sendOption(
  socket: Socket,
  input: ByteInput,
  option: number,
  data: Buffer,
): Promise<Buffer[]> {
  const head = Buffer.alloc(16)
  head.writeBigUInt64BE(OPTION_MAGIC, 0)
  head.writeUInt32BE(option, 8)
  head.writeUInt32BE(data.length, 12)
  socket.write(Buffer.concat([head, data]))
  const infos: Buffer[] = []
  for (;;) {
    const reply = await readExactly(input, 20)
    if (reply.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC) throw new NbdError('Not an NBD reply')
    const type = reply.readUInt32BE(12)
    const payload = await readExactly(input, reply.readUInt32BE(16))
    if (type === OPTION_REPLY.ack) return infos
    if (type >= 2 ** 31) throw new NbdError(`qemu-nbd refused option ${option}`)
    if (type === OPTION_REPLY.info) infos.push(payload)
  }
}

function request(socket: Socket, command: number, start: number, length: number): void {
  const head = Buffer.alloc(28)
  head.writeUInt32BE(REQUEST_MAGIC, 0)
  head.writeUInt16BE(command, 6)
  head.writeBigUInt64BE(BigInt(start), 16)
  head.writeUInt32BE(length, 24)
  socket.write(head)
}

/** The parts of one answer. Throws NbdError for an error that qemu reports. */
async function* replies(input: ByteInput): AsyncGenerator<{ type: number; payload: Buffer }> {
  for (;;) {
    const head = await readExactly(input, 20)
    if (head.readUInt32BE(0) !== REPLY_MAGIC) throw new NbdError('Not an NBD reply')
    const type = head.readUInt16BE(6)
    const payload = await readExactly(input, head.readUInt32BE(16))
    if (type >= CHUNK.firstError)
      throw new NbdError(`qemu-nbd reports error ${payload.readUInt32BE(0)}`)
    yield { type, payload }
    if (head.readUInt16BE(4) & FLAG_DONE) return
  }
}

async function readExactly(input: ByteInput, count: number): Promise<Buffer> {
  if (count > MAX_REPLY_BYTES) throw new NbdError(`qemu-nbd announces ${count} bytes`)
  const result = Buffer.allocUnsafe(count)
  for (let filled = 0; filled < count;) {
    const bytes = await input.next()
    if (!bytes) throw new NbdError('qemu-nbd closed the connection')
    const used = bytes.subarray(0, count - filled)
    result.set(used, filled)
    filled += used.length
    input.unshift(bytes.subarray(used.length))
  }
  return result
}
