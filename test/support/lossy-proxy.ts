import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'

/** Shares of all packets, each way. */
export type Faults = { drop: number; duplicate: number; delay: number; seed: number }

const MAX_DELAY_MS = 8

/**
 * A TFTP server to its clients, which passes all packets on to the one at `serverPort`, loses some,
 * doubles some and lets some come late. The same seed makes the same choices for the same packets.
 */
export async function openLossyProxy(serverPort: number, faults: Faults) {
  const sockets: Socket[] = []
  const random = createRandom(faults.seed)
  const lost = { packets: 0 }
  const timers = new Set<NodeJS.Timeout>()

  async function open(): Promise<Socket> {
    const socket = createSocket('udp4')
    sockets.push(socket)
    socket.bind({ address: '127.0.0.1', port: 0 })
    await once(socket, 'listening')
    return socket
  }

  function later(action: () => void, delayMs: number) {
    const timer = setTimeout(() => {
      timers.delete(timer)
      action()
    }, delayMs)
    timers.add(timer)
  }

  function pass(socket: Socket, bytes: Buffer, port: number) {
    const copies = random() < faults.duplicate ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (random() < faults.drop) {
        lost.packets++
        continue
      }
      const send = () => socket.send(bytes, port, '127.0.0.1', () => {})
      if (random() < faults.delay) later(send, random() * MAX_DELAY_MS)
      else send()
    }
  }

  const front = await open()
  const upstreams = new Map<number, Promise<Socket>>()

  async function openUpstream(clientPort: number): Promise<Socket> {
    const upstream = await open()
    const downstreams = new Map<number, Promise<Socket>>()
    upstream.on('message', (bytes, server) => {
      const downstream = downstreams.get(server.port) ?? openDownstream(server.port)
      downstreams.set(server.port, downstream)
      void downstream.then((socket) => pass(socket, bytes, clientPort))
    })
    async function openDownstream(transferPort: number): Promise<Socket> {
      const downstream = await open()
      downstream.on('message', (bytes) => pass(upstream, bytes, transferPort))
      return downstream
    }
    return upstream
  }

  front.on('message', (bytes, client) => {
    const upstream = upstreams.get(client.port) ?? openUpstream(client.port)
    upstreams.set(client.port, upstream)
    void upstream.then((socket) => pass(socket, bytes, serverPort))
  })

  return {
    port: front.address().port,
    lost,
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearTimeout(timer)
      for (const socket of sockets) socket.close()
    },
  }
}

/** Mulberry32: small, and good enough to choose packets. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
