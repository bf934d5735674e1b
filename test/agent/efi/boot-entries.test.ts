import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { orderWith, parseBootManager, planEntries } from '#agent/efi/boot-entries.ts'

const ESP = 'b1c5ebf6-e992-b64c-a3c1-9b345837f911'
const OTHER_DISK = '11111111-2222-3333-4444-555555555555'
const GONE = '99999999-2222-3333-4444-555555555555'

const OUTPUT = [
  'BootCurrent: 0003',
  'Timeout: 3 seconds',
  'BootOrder: 0003,0004,0001,0000',
  'Boot0000* UiApp\tFvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21)',
  `Boot0001* Stampede (debian-13)\tHD(1,GPT,${ESP},0x800,0x20000)/File(\\EFI\\debian\\shimx64.efi)`,
  'Boot0002  Windows Boot Manager\tHD(1,MBR,0x1a2b3c,0x800,0x64000)/File(\\EFI\\Microsoft\\Boot\\bootmgfw.efi)WINDOWS.........x...',
  'Boot0003* UEFI PXEv4 (MAC:525400123456)\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,1)/IPv4(0.0.0.00.0.0.0,0,0)N.....YM....R,Y.',
  'Boot0004* UEFI PXEv6 (MAC:525400123456)\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,1)/IPv6([::]:<->[::]:,0,0)N.....YM....R,Y.',
  `Boot000A* Stampede (old)\tHD(2,GPT,${GONE.toUpperCase()},0x800,0x20000)/\\EFI\\debian\\grubx64.efi`,
  '      dp: 04 01 2a 00 01 00 00 00',
  '',
].join('\n')

const wanted = {
  label: 'Stampede (debian-13)',
  partUuid: ESP,
  loader: '\\EFI\\debian\\shimx64.efi',
}

describe('boot entries', () => {
  it('reads what efibootmgr prints', () => {
    const { current, order, entries } = parseBootManager(OUTPUT)
    assert.equal(current, '0003')
    assert.deepEqual(order, ['0003', '0004', '0001', '0000'])
    assert.deepEqual(entries, [
      { number: '0000', label: 'UiApp', isNetwork: false },
      { number: '0001', ...wanted, isNetwork: false },
      {
        number: '0002',
        label: 'Windows Boot Manager',
        isNetwork: false,
        partUuid: '001a2b3c-01',
        loader: '\\EFI\\Microsoft\\Boot\\bootmgfw.efi',
      },
      { number: '0003', label: 'UEFI PXEv4 (MAC:525400123456)', isNetwork: true },
      { number: '0004', label: 'UEFI PXEv6 (MAC:525400123456)', isNetwork: true },
      {
        number: '000A',
        label: 'Stampede (old)',
        isNetwork: false,
        partUuid: GONE,
        loader: '\\EFI\\debian\\grubx64.efi',
      },
    ])
  })

  it('reads a machine without entries', () => {
    assert.deepEqual(parseBootManager('No BootOrder is set; firmware will attempt recovery\n'), {
      order: [],
      entries: [],
    })
  })

  const manager = parseBootManager(OUTPUT)
  const partUuids = new Set([ESP])

  it('keeps an entry that is right and removes a dead one of ours only', () => {
    assert.deepEqual(planEntries(manager, { partUuids, wanted }, new Set()), {
      keep: '0001',
      remove: ['000A'],
    })
  })

  it('removes all of ours for the target if none is wanted', () => {
    // Also where another disk is a clone.
    for (const others of [[], [ESP]])
      assert.deepEqual(planEntries(manager, { partUuids }, new Set(others)), {
        remove: ['0001', '000A'],
      })
  })

  it('leaves entries of other disks alone', () => {
    const other = { partUuids: new Set([OTHER_DISK]) }
    assert.deepEqual(planEntries(manager, other, new Set([ESP])), { remove: ['000A'] })
  })

  it('replaces an entry for another image, loader or partition', () => {
    for (const change of [
      { label: 'Stampede (other)' },
      { loader: '\\EFI\\fedora\\shimx64.efi' },
      { partUuid: OTHER_DISK },
    ]) {
      const target = { partUuids, wanted: { ...wanted, ...change } }
      assert.deepEqual(planEntries(manager, target, new Set()), { remove: ['0001', '000A'] })
    }
  })
})

describe('boot order', () => {
  const manager = parseBootManager(OUTPUT)
  const cases: { name: string; order: string[]; current?: string; expected: string[] }[] = [
    {
      name: 'comes right after the entry that we booted from',
      order: ['0003', '0004', '0000'],
      current: '0003',
      expected: ['0003', '0001', '0004', '0000'],
    },
    {
      name: 'moves from the front to after the network',
      order: ['0001', '0000', '0003'],
      current: '0003',
      expected: ['0000', '0003', '0001'],
    },
    {
      name: 'comes after the last network entry if the current one is not in the order',
      order: ['0003', '0004', '0000'],
      current: '0002',
      expected: ['0003', '0004', '0001', '0000'],
    },
    {
      name: 'comes first if there is no network entry',
      order: ['0000', '0002'],
      expected: ['0001', '0000', '0002'],
    },
    {
      name: 'drops numbers without an entry, which efibootmgr would refuse',
      order: ['0003', '00FF', '0000'],
      current: '0003',
      expected: ['0003', '0001', '0000'],
    },
  ]
  for (const { name, order, current, expected } of cases) {
    it(name, () => {
      const { entries } = manager
      const state = { order, entries, ...(current !== undefined && { current }) }
      assert.deepEqual(orderWith(state, '0001'), expected)
    })
  }
})
