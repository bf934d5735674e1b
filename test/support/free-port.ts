import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'

const FIRST_PORT = 10_240
const MOST_TRIES = 100

/**
 * A port of the loopback interface that nobody listens on. None of those that the kernel gives to whoever
 * connects, or asks for any: it may be taken again a while later, by a server that was killed and comes back.
 */
export async function freePort(): Promise<number> {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
  const end = Number.parseInt(range, 10)
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const port = end > FIRST_PORT ? randomInt(FIRST_PORT, end) : 0
    const server = createServer().listen(port, '127.0.0.1')
    const listening = await once(server, 'listening').catch(() => undefined)
    if (!listening) continue
    const { port: free } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    return free
  }
  throw new Error(`${MOST_TRIES} ports of the loopback interface are taken`)
}
