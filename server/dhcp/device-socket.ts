import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { openUdpDescriptor } from './system-calls.ts'

/**
 * A UDP socket on one port of one interface: made here, or `inherited` from systemd, whose unit
 * then says BindToDevice=. Throws SocketError with a sentence for the operator.
 */
export async function openDeviceSocket(options: {
  interface: string
  port: number
  /** Descriptor of a socket that is bound already. */
  inherited?: number
}): Promise<Socket> {
  const fd = options.inherited ?? openUdpDescriptor(options.interface, options.port)
  const socket = createSocket('udp4')
  try {
    const listening = once(socket, 'listening') // comes while bind still runs
    socket.bind({ fd })
    await listening
    if (options.inherited !== undefined) socket.setBroadcast(true)
    return socket
  } catch (error) {
    socket.close()
    closeSync(fd)
    throw error
  }
}
