import { once } from 'node:events'
import { type Socket, createSocket } from 'node:dgram'
import { encodeTftp } from '#protocol/tftp.ts'
import { createInbox } from './inbox.ts'
import type { FileContent } from './virtual-file.ts'
import {
  type Transfer,
  type TransferOutcome,
  type TransferStep,
  advance,
  wireBlock,
} from './transfer.ts'

export type Peer = { address: string; port: number }

/** One transfer on a socket of its own, whose port is our transfer identifier (RFC 1350). */
export type Sending = {
  /** Where it stands now. */
  readonly transfer: Transfer
  /** Undefined if it was stopped. */
  readonly outcome: Promise<TransferOutcome | undefined>
  stop(): void
}

/**
 * Opens a socket on `address`, so that answers come from where the question went (a server with
 * several addresses would else answer from another one), and connected, so that the kernel drops what
 * others send.
 */
export async function openTransferSocket(address: string, peer: Peer): Promise<Socket> {
  const socket = createSocket('udp4')
  try {
    socket.bind({ address, port: 0 })
    await once(socket, 'listening')
    socket.connect(peer.port, peer.address)
    await once(socket, 'connect')
    return socket
  } catch (err) {
    socket.close()
    throw err
  }
}

/** Sends `content` through a connected `socket`. Closes neither. */
export function startSending(socket: Socket, transfer: Transfer, content: FileContent): Sending {
  const inbox = createInbox(socket)
  const onError = (err: Error | null) => {
    // Any other error of a send (no route, no buffer) is a lost packet, and is sent again.
    if (err && 'code' in err && err.code === 'ECONNREFUSED') inbox.put({ kind: 'unreachable' })
  }
  socket.on('error', onError)

  let current = transfer
  const outcome = (async () => {
    let step = advance(transfer, { kind: 'start' })
    let deadline = performance.now()
    while (step.kind !== 'end') {
      current = step.next
      await transmit(socket, step, content, onError)
      if (step.waitMs !== undefined) deadline = performance.now() + step.waitMs
      const event = await inbox.next(deadline - performance.now())
      if (!event) return undefined
      step = advance(step.next, event)
    }
    return step.outcome
  })()

  return {
    get transfer() {
      return current
    },
    outcome,
    stop: () => inbox.close(),
  }
}

async function transmit(
  socket: Socket,
  step: Exclude<TransferStep, { kind: 'end' }>,
  content: FileContent,
  onError: (err: Error | null) => void,
): Promise<void> {
  switch (step.kind) {
    case 'wait':
      return
    case 'send-options':
      socket.send(encodeTftp({ kind: 'oack', options: step.next.agreement.accepted }), onError)
      return
    case 'send-blocks': {
      const { blockBytes } = step.next.agreement
      const startByte = (step.start - 1) * blockBytes
      const endByte = Math.min((step.end - 1) * blockBytes, content.sizeBytes)
      const bytes = await content.read(startByte, endByte)
      for (let block = step.start; block < step.end; block++) {
        const offset = (block - step.start) * blockBytes
        const data = bytes.subarray(offset, offset + blockBytes)
        socket.send(encodeTftp({ kind: 'data', block: wireBlock(block), data }), onError)
      }
    }
  }
}
