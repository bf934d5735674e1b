import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type TftpPacket, decodeTftp, encodeTftp } from '#protocol/tftp.ts'

export type TftpRead = {
  port: number
  fileName: string
  options?: Record<string, string | number>
  timeoutMs?: number
}

const MAX_SILENCES = 40
const DALLY_MS = 150

/** A plain reader after RFC 1350, 2347 and 7440, to read through networks that lose packets. */
export async function readByTftp(read: TftpRead): Promise<{
  bytes: Buffer
  accepted: Record<string, string>
}> {
  const { port, fileName, options = {}, timeoutMs = 60 } = read
  const socket = createSocket('udp4')
  try {
    socket.bind({ address: '127.0.0.1', port: 0 })
    await once(socket, 'listening')
    const request = encodeTftp({
      kind: 'rrq',
      fileName,
      mode: 'octet',
      options: new Map(Object.entries(options).map(([name, value]) => [name, String(value)])),
    })
    return await receive(socket, () => socket.send(request, port, '127.0.0.1'), timeoutMs)
  } finally {
    socket.close()
  }
}

async function receive(socket: Socket, request: () => void, timeoutMs: number) {
  const blocks: Uint8Array[] = []
  let accepted: Record<string, string> = {}
  let serverPort: number | undefined
  let lastAck = -1 // the count of blocks that was acknowledged last
  let silences = 0
  let isOutOfOrder = false

  const acknowledge = () => {
    lastAck = blocks.length
    socket.send(encodeTftp({ kind: 'ack', block: blocks.length & 0xffff }), serverPort!)
  }
  const again = () => (serverPort === undefined ? request() : acknowledge())

  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let timer = setTimeout(onSilence, timeoutMs)
  function onSilence() {
    if (++silences > MAX_SILENCES) return reject(new Error('The server is silent'))
    again()
    timer = setTimeout(onSilence, timeoutMs)
  }

  function onPacket(packet: TftpPacket) {
    const blockBytes = Number(accepted.blksize ?? 512)
    const windowBlocks = Number(accepted.windowsize ?? 1)
    if (packet.kind === 'error') return reject(new Error(`${packet.code}: ${packet.message}`))
    if (packet.kind === 'oack') {
      if (lastAck === -1) accepted = Object.fromEntries(packet.options)
      if (blocks.length === 0) acknowledge()
      return
    }
    if (packet.kind !== 'data') return
    const ahead = (packet.block - blocks.length - 1) & 0xffff
    if (ahead === 0) {
      blocks.push(Buffer.from(packet.data))
      isOutOfOrder = false
      const isLast = packet.data.length < blockBytes
      if (isLast || blocks.length - Math.max(lastAck, 0) >= windowBlocks) acknowledge()
      if (isLast) resolve()
    } else if (ahead === 0xffff) {
      acknowledge() // the last block again: our ACK was lost
    } else if (ahead < 0x8000 && !isOutOfOrder) {
      isOutOfOrder = true
      acknowledge()
    }
  }

  socket.on('message', (bytes, peer) => {
    serverPort ??= peer.port
    if (peer.port !== serverPort) return
    silences = 0
    clearTimeout(timer)
    timer = setTimeout(onSilence, timeoutMs)
    onPacket(decodeTftp(bytes))
  })
  request()
  try {
    await promise
    clearTimeout(timer)
    // The last ACK may get lost: stay a moment to repeat it, as RFC 1350 section 6 advises.
    socket.on('message', () => acknowledge())
    await new Promise((done) => setTimeout(done, DALLY_MS))
  } finally {
    clearTimeout(timer)
  }
  return { bytes: Buffer.concat(blocks), accepted }
}
