import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { LabHost } from '#lab/network.ts'
import { findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { type DhcpLab, exchange, NEEDS_ROOT, openDhcpLab } from './dhcp-lab.ts'
import { assertGivenBack } from '#test/support/memory-in-use.ts'
import { MACHINE, packetFrom } from './packets.ts'

const FLOOD = fileURLToPath(new URL('flood-program.ts', import.meta.url))
const WARM_UP_PACKETS = 5_000
const PACKETS = 100_000
/** Far below one packet's worth of memory for each packet. */
const MAX_GROWTH_BYTES = 8 * 1024 * 1024

async function memoryOf({ server }: DhcpLab): Promise<number> {
  const before = server.lines.length
  server.process.stdin!.write('\n')
  const line = await server.waitFor(({ kind }) => kind === 'memory', before)
  return line['bytes'] as number
}

function flood(host: LabHost, packets: number, port: number): Promise<string> {
  return host.run(process.execPath, [FLOOD, '10.77.0.1', String(packets), String(port)])
}

describe('a flood of random and mutated packets', { skip: NEEDS_ROOT }, () => {
  for (const [mode, port] of [
    ['server', 67],
    ['proxy', 4011],
  ] as const)
    it(`leaves mode ${mode} answering, and its memory as it was`, async () => {
      const settings = { mode, reservations: [{ mac: MACHINE, address: '10.77.0.9' }] }
      await using lab = await openDhcpLab(settings)
      const host = await lab.network.openHost({ address: '10.77.0.2/24' })
      await flood(host, WARM_UP_PACKETS, port)
      const before = await memoryOf(lab)

      await flood(host, PACKETS, port)
      const packet = packetFrom('discover', { architecture: 0, broadcast: true })
      const [answer] = await exchange(host, [packet])
      assert.equal(findMessage(answer!.packet), 'offer')
      assert.equal(answer!.packet.bootFileName, 'undionly.kpxe')
      assert.equal(lab.server.process.exitCode, null)
      await assertGivenBack(before, MAX_GROWTH_BYTES, () => memoryOf(lab))
    })
})
