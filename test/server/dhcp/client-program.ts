/**
 * Sends packets from the DHCP client's port of one interface and prints what comes back, until there are as many
 * answers as expected.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openDeviceSocket } from '#server/dhcp/device-socket.ts'

const settings = {
  port: 67,
  fromPort: 68,
  to: '255.255.255.255',
  answers: 1,
  ...(JSON.parse(process.argv[2]!) as { interface: string; packets: string[] }),
}
await using socket = await openDeviceSocket({
  interface: settings.interface,
  port: settings.fromPort,
})
/** Packets are repeated as real clients do, and silence is believed after a while. */
const REPEATS = 6
const REPEAT_MS = 4_000
const SILENCE_MS = 1_500

const enough = new AbortController()
const answers = new Set<string>()
socket.on('message', (bytes, { address, port }) => {
  const line = JSON.stringify({ hex: bytes.toString('hex'), address, port })
  if (answers.has(line)) return
  answers.add(line)
  process.stdout.write(`${line}\n`)
  if (answers.size === settings.answers) enough.abort()
})
const waits = settings.answers === 0 ? [SILENCE_MS] : Array<number>(REPEATS).fill(REPEAT_MS)
for (const waitMs of waits) {
  if (enough.signal.aborted) break
  for (const hex of settings.packets)
    socket.send(Buffer.from(hex, 'hex'), settings.port, settings.to)
  await sleep(waitMs, undefined, { signal: enough.signal }).catch(() => undefined)
}
