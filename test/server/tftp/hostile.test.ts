import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { encodeTftp } from '#protocol/tftp.ts'
import { openTftpServer } from '#server/tftp/tftp-server.ts'
import { createRandom } from '#test/support/lossy-proxy.ts'
import { assertGivenBack, memoryInUse } from '#test/support/memory-in-use.ts'
import { readByTftp } from '#test/support/tftp-client.ts'

const WARM_UP_PACKETS = 5_000
const PACKETS = 100_000
/** Fewer than the server reads at a time (libuv: 32), so that none is lost. */
const BATCH = 25
const PROBE_EVERY = 20_000
/** Less than an object for each packet would take. */
const MAX_GROWTH_BYTES = 2 * 1024 * 1024
const DEADLINE_MILLISECONDS = 60_000

const openFiles = async () => (await readdir('/proc/self/fd')).length

const valid = [
  encodeTftp({ kind: 'rrq', fileName: 'file', mode: 'octet', options: new Map() }),
  encodeTftp({
    kind: 'rrq',
    fileName: '/file',
    mode: 'netascii',
    options: new Map([
      ['blksize', '1428'],
      ['tsize', '0'],
      ['windowsize', '16'],
      ['timeout', '1'],
    ]),
  }),
  encodeTftp({ kind: 'wrq', fileName: 'file', mode: 'octet', options: new Map() }),
  encodeTftp({ kind: 'ack', block: 1 }),
  encodeTftp({ kind: 'data', block: 1, data: new Uint8Array(100) }),
  encodeTftp({ kind: 'error', code: 0, message: 'no' }),
  encodeTftp({ kind: 'oack', options: new Map([['blksize', '8']]) }),
]

/** Noise, or a good packet with some bytes changed, cut off or doubled. */
function hostilePacket(random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit)
  if (random() < 0.3) return Uint8Array.from({ length: below(600) }, () => below(256))
  const packet = Buffer.from(valid[below(valid.length)]!)
  for (let i = below(4); i > 0; i--) packet[below(packet.length)] = below(256)
  const cut = packet.subarray(0, random() < 0.3 ? below(packet.length) : packet.length)
  return random() < 0.1 ? Buffer.concat([cut, cut]) : cut
}

async function openClient(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind({ address: '127.0.0.1', port: 0 })
  await once(socket, 'listening')
  return socket
}

describe('TFTP server under hostile packets', () => {
  it(`answers during and after ${PACKETS} of them, and gives everything back`, async () => {
    const files = new Map([['file', { bytes: randomBytes(20_000) }]])
    const log = pino({ level: 'silent' })
    // Its clients never say that they are gone; with this it finds out within two seconds.
    const server = await openTftpServer({
      address: '127.0.0.1',
      port: 0,
      files: () => files,
      log,
      timeoutMs: 20,
      maxTransfersPerClient: 64,
    })
    await readByTftp({ port: server.port, fileName: 'file' })
    const filesBefore = await openFiles()

    const random = createRandom(7)
    const clients = await Promise.all(Array.from({ length: 16 }, openClient))
    async function flood(packets: number): Promise<void> {
      for (let sent = 0; sent < packets; sent += BATCH) {
        for (let i = 0; i < BATCH; i++) {
          const client = clients[i % clients.length]!
          client.send(hostilePacket(random), server.port, '127.0.0.1')
        }
        await turn()
        if (sent % PROBE_EVERY === 0) await assertAnswers(server.port)
      }
    }
    await flood(WARM_UP_PACKETS)
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    while ((await openFiles()) > filesBefore + clients.length) {
      assert.ok(Date.now() < deadline, 'transfers to clients that are gone do not end')
      await sleep(50)
    }
    const bytesBefore = await memoryInUse()
    await flood(PACKETS)
    for (const client of clients) client.close()
    await assertAnswers(server.port)
    await server[Symbol.asyncDispose]()

    assert.ok((await openFiles()) < filesBefore, 'a socket was left open')
    await assertGivenBack(bytesBefore, MAX_GROWTH_BYTES)
  })
})

async function assertAnswers(port: number): Promise<void> {
  const { bytes } = await readByTftp({ port, fileName: 'file', timeoutMs: 250 })
  assert.equal(bytes.length, 20_000)
}
