import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  TFTP_ERROR,
  TftpDecodeError,
  type TftpPacket,
  decodeTftp,
  encodeTftp,
} from '#protocol/tftp.ts'
import { readMtu } from './mtu.ts'
import type { Peer } from './send-file.ts'
import {
  type TftpLog,
  type Transfers,
  type TransfersOptions,
  createTransfers,
} from './transfers.ts'
import type { VirtualFiles } from './virtual-file.ts'

const TFTP_PORT = 69
/** Each takes a socket and at most one window of memory. */
const MAX_TRANSFERS = 512
const MAX_TRANSFERS_PER_CLIENT = 32

export type TftpServerOptions = {
  /** The address to answer on and from. */
  address: string
  port?: number
  /** Asked at each request, so that files can come and go. */
  files: () => VirtualFiles | Promise<VirtualFiles>
  log: TftpLog
  onSeen?: TransfersOptions['onSeen']
  timeoutMs?: number
  maxTransfers?: number
  maxTransfersPerClient?: number
}

export type TftpServer = AsyncDisposable & { readonly port: number }

/** Serves `files` for reading until it is disposed. Throws an Error that says why it cannot listen. */
export async function openTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const { address, port = TFTP_PORT, log } = options
  const socket = await listen(address, port)
  const transfers = createTransfers({
    maxTransfers: MAX_TRANSFERS,
    maxTransfersPerClient: MAX_TRANSFERS_PER_CLIENT,
    ...options,
    mtuBytes: await readMtu(address),
    refuse: (peer, code, message) => send(socket, peer, { kind: 'error', code, message }),
  })

  socket.on('error', (err) => log.error({ err }, 'TFTP socket failed'))
  socket.on('message', (bytes, peer) => {
    try {
      onPacket(socket, transfers, bytes, peer)
    } catch (err) {
      // One bad packet must not stop the service for everyone else.
      if (err instanceof TftpDecodeError) log.debug({ err, peer }, 'Ignoring malformed packet')
      else log.error({ err, peer }, 'Failed to answer')
    }
  })

  return {
    port: socket.address().port,
    async [Symbol.asyncDispose]() {
      socket.removeAllListeners('message')
      await transfers.stopAll()
      socket.close()
      await once(socket, 'close')
    },
  }
}

function onPacket(socket: Socket, transfers: Transfers, bytes: Buffer, peer: Peer): void {
  if (peer.port === 0) throw new TftpDecodeError('The packet came from port 0')
  const packet = decodeTftp(bytes)
  switch (packet.kind) {
    case 'rrq':
      return transfers.start(packet, bytes.toString('latin1'), {
        address: peer.address,
        port: peer.port,
      })
    case 'wrq':
      return send(socket, peer, {
        kind: 'error',
        code: TFTP_ERROR.accessViolation,
        message: 'This server is read-only',
      })
    case 'data':
    case 'ack':
    case 'oack':
    case 'error':
      return // of a transfer that is over; answering an ERROR is forbidden, the others pointless
  }
}

/** A lost answer is asked for again by the client, so errors need no care. */
function send(socket: Socket, peer: Peer, packet: TftpPacket): void {
  socket.send(encodeTftp(packet), peer.port, peer.address, () => {})
}

async function listen(address: string, port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  try {
    socket.bind({ address, port })
    await once(socket, 'listening')
    return socket
  } catch (err) {
    socket.close()
    const code = err instanceof Error && 'code' in err ? String(err.code) : String(err)
    const reason = LISTEN_ERRORS[code] ?? code
    throw new Error(`TFTP cannot listen on ${address} port ${port}: ${reason}`, { cause: err })
  }
}

const LISTEN_ERRORS: Record<string, string> = {
  EADDRINUSE: 'another program has this port; stop it (often tftpd-hpa, atftpd or dnsmasq)',
  EACCES: 'no permission; run as root or with the capability CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'no interface has this address; check STAMPEDE_INTERFACE',
}
