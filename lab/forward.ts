import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { LabNetwork } from './network.ts'

const INSIDE = path.join(import.meta.dirname, 'forward-inside.ts')

/**
 * Makes a TCP port inside the lab's network reachable from this host, on 127.0.0.1 alone. Returns
 * the port; it closes with the network.
 */
export async function openForward(network: LabNetwork, insidePort: number): Promise<number> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const child = network.spawn(process.execPath, [INSIDE, network.address, String(insidePort)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ready = once(child, 'message', { signal: AbortSignal.timeout(10_000) })
  child.send('server', server)
  await ready
  server.close() // ours; the child has its own
  child.unref()
  child.channel?.unref()
  return port
}
