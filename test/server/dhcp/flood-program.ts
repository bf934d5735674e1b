/**
 * Sends so many packets to the DHCP port as fast as the kernel takes them: bytes at random, and good
 * packets of made-up machines with bytes changed or cut off. Prints how many it sent.
 */
import { createSocket } from 'node:dgram'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as breathe } from 'node:timers/promises'
import { encodeDhcp } from '#protocol/dhcp/dhcp.ts'
import { packetFrom } from './packets.ts'

const [to, count, port] = process.argv.slice(2)
const MESSAGES = ['discover', 'request', 'decline', 'release', 'inform', 'offer'] as const
const ARCHITECTURES = [0, 6, 7, 9, 11, 16, 19, 99]
const SEEDS = MESSAGES.flatMap((message) =>
  ARCHITECTURES.map((architecture) =>
    encodeDhcp(
      packetFrom(message, {
        architecture,
        userClass: architecture === 7 ? 'iPXE' : '',
        serverId: '10.77.0.1',
        requested: '10.77.0.12',
        options: [[82, Uint8Array.of(1, 2, 3, 4)]],
      }),
    ),
  ),
)

function nextPacket(): Uint8Array {
  if (randomInt(4) === 0) return randomBytes(randomInt(700))
  const bytes = Buffer.from(SEEDS[randomInt(SEEDS.length)]!)
  bytes.set(randomBytes(5), 29) // another machine, mostly
  for (let changes = randomInt(4); changes > 0; changes -= 1)
    bytes[randomInt(bytes.length)] = randomInt(256)
  return randomInt(4) === 0 ? bytes.subarray(0, randomInt(bytes.length)) : bytes
}

const socket = createSocket('udp4')
socket.on('error', () => undefined)
socket.bind(68)
await once(socket, 'listening')
let sent = 0
while (sent < Number(count)) {
  socket.send(nextPacket(), Number(port), to)
  sent += 1
  // What the receiver has no time for the kernel drops, and it would not be tested with that.
  if (sent % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 3))
}
await breathe()
process.stdout.write(JSON.stringify({ kind: 'sent', sent }) + '\n')
socket.close()
