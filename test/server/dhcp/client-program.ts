/** Sends packets from the DHCP client's port of one interface and prints what comes back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openDeviceSocket } from '#server/dhcp/device-socket.ts'

const settings = {
  port: 67,
  fromPort: 68,
  to: '255.255.255.255',
  waitMs: 1500,
  ...(JSON.parse(process.argv[2]!) as { interface: string; packets: string[] }),
}
await using socket = await openDeviceSocket({
  interface: settings.interface,
  port: settings.fromPort,
})
socket.on('message', (bytes, { address, port }) =>
  process.stdout.write(`${JSON.stringify({ hex: bytes.toString('hex'), address, port })}\n`),
)
for (const hex of settings.packets) socket.send(Buffer.from(hex, 'hex'), settings.port, settings.to)
await sleep(settings.waitMs)
