import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { type MachineOptions, openMachine } from '#lab/machine.ts'
import { openDhcpLab, startDnsmasq } from '#test/server/dhcp/dhcp-lab.ts'

/** Where Debian's package `ipxe` puts its builds. */
const BOOT_FOLDER = '/usr/lib/ipxe'
const MAC = '52:54:00:aa:00:01'
const BOOT_SECONDS = 240

/** One way of real firmware to its script. */
export interface FirmwareCase {
  firmware: MachineOptions['firmware']
  /** Undefined is the card's own iPXE, empty is none: then UEFI uses its own PXE. */
  romFile?: ''
  mode: 'server' | 'proxy'
  /** What introduces itself by DHCP, in order. */
  stages: string[]
  /** Firmware that finds no boot file, and so goes on to its next way of booting. */
  without?: 'efi-x64'
}

export function testFirmwareBoot({ firmware, romFile, mode, stages, without }: FirmwareCase): void {
  it(`${firmware} comes to its script in mode ${mode}, through ${stages.join(' and ')}`, async () => {
    await using lab = await openDhcpLab({
      mode,
      bootFolder: BOOT_FOLDER,
      ...(without && { preferred: { [without]: [] } }),
    })
    if (mode === 'proxy') {
      const other = await lab.network.openHost({ address: '10.77.0.5/24' })
      await startDnsmasq(other, lab.folder)
    }
    await using machine = await openMachine({
      name: 'firmware',
      folder: join(lab.folder, 'machine'),
      firmware,
      disks: [],
      card: { network: lab.network, mac: MAC, model: 'virtio-net-pci', romFile },
      memoryMib: 512,
    })
    const { waitFor, lines } = lab.server
    const script = await waitFor(
      ({ kind, url }) => kind === 'http' && String(url).endsWith('.ipxe'),
      0,
      BOOT_SECONDS,
    )
    assert.equal(script['url'], '/boot/52-54-00-aa-00-01.ipxe')
    const seen = lines.filter(({ kind }) => kind === 'seen').map((line) => line['firmware'])
    assert.deepEqual([...new Set(seen)], stages)
    assert.ok(machine.pid > 0)
  })
}
