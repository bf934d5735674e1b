import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooseDisk, formatBytes } from '#protocol/machine/disk-choice.ts'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { SAMPLE_DISK } from '#test/support/step-context.ts'

const SATA: Disk = { ...SAMPLE_DISK, path: '/dev/sda', serial: 'S4EV', model: 'Samsung SSD 860' }
const NVME: Disk = {
  ...SAMPLE_DISK,
  path: '/dev/nvme0n1',
  serial: 'PHKE1',
  model: 'INTEL OPTANE',
  wwn: 'eui.0025385b71b0a1c2',
  transport: 'nvme',
  sizeBytes: 960_000_000_000,
}
const SPINNING: Disk = {
  ...SAMPLE_DISK,
  path: '/dev/sdb',
  serial: 'WD-1',
  wwn: '0x50014ee2b5f1a0d3',
  rotational: true,
  sizeBytes: 4_000_000_000_000,
}
const STICK: Disk = { ...SAMPLE_DISK, path: '/dev/sdc', serial: 'STICK', transport: 'usb' }
const CARD: Disk = { ...SAMPLE_DISK, path: '/dev/sdd', serial: 'CARD', removable: true }
const SYSTEM: Disk = { ...SAMPLE_DISK, path: '/dev/vda', serial: 'SYS', busy: 'mounted at /' }
const LOOP: Disk = { ...SAMPLE_DISK, path: '/dev/loop0', transport: 'loop' }

function chosen(disks: Disk[], hints?: DiskHints): string {
  const choice = chooseDisk(disks, hints)
  return choice.kind === 'chosen' ? choice.disk.path : choice.reason
}

describe('chooseDisk', () => {
  it('takes the only disk where no hint is given', () => {
    assert.equal(chosen([SATA]), '/dev/sda')
  })

  it('refuses to guess between two disks, naming both', () => {
    const reason = chosen([SATA, NVME])
    assert.match(reason, /2 disks fit/)
    assert.match(reason, /\/dev\/sda .*serial "S4EV".*\/dev\/nvme0n1/)
  })

  it('asks for what tells the disks apart: not for a serial that they share or lack', () => {
    assert.match(chosen([SATA, NVME]), /say by its serial$/)
    const namespace = { ...NVME, path: '/dev/nvme0n2' }
    assert.match(chosen([NVME, namespace], { serial: 'PHKE1' }), /say by its path$/)
    const { serial: _, ...nameless } = SATA
    assert.match(chosen([nameless, NVME]), /say by its path$/)
  })

  it('refuses a machine without disks, and one where nothing fits the hints', () => {
    assert.match(chosen([]), /No disk fits; this machine has none/)
    assert.match(chosen([SATA], { serial: 'OTHER' }), /No disk fits for {"serial":"OTHER"}/)
  })

  it('counts no USB, removable, loop and used disk as a candidate unless it is named', () => {
    assert.equal(chosen([SATA, STICK, CARD, SYSTEM, LOOP]), '/dev/sda')
    assert.match(
      chosen([STICK, CARD, SYSTEM, LOOP]),
      /No disk fits.*"STICK", USB\), .*"CARD", removable\), .*"SYS", in use\), \/dev\/loop0/,
    )
    assert.match(chosen([STICK], { minBytes: 1 }), /No disk fits/)
    assert.equal(chosen([SATA, STICK], { serial: 'STICK' }), '/dev/sdc')
    assert.equal(chosen([SATA, { ...STICK, wwn: 'eui.1' }], { wwn: 'eui.1' }), '/dev/sdc')
    assert.equal(chosen([SATA, LOOP], { path: '/dev/loop0' }), '/dev/loop0')
    assert.equal(chosen([SATA, CARD], { removable: true }), '/dev/sdd')
  })

  it('finds a named disk although it is in use, so that the reason can be told', () => {
    assert.equal(chosen([SATA, SYSTEM], { path: '/dev/vda' }), '/dev/vda')
  })

  for (const [hints, path] of [
    [{ serial: ' s4ev ' }, '/dev/sda'],
    [{ model: 'intel optane' }, '/dev/nvme0n1'],
    [{ wwn: 'naa.50014EE2B5F1A0D3' }, '/dev/sdb'],
    [{ wwn: '0025385b71b0a1c2' }, '/dev/nvme0n1'],
    [{ rotational: true }, '/dev/sdb'],
    [{ minBytes: 900_000_000_000, maxBytes: 1_000_000_000_000 }, '/dev/nvme0n1'],
    [{ minBytes: 960_000_000_000, maxBytes: 960_000_000_000 }, '/dev/nvme0n1'],
  ] satisfies [DiskHints, string][]) {
    it(`finds ${path} by ${JSON.stringify(hints)}`, () => {
      assert.equal(chosen([SATA, NVME, SPINNING], hints), path)
    })
  }

  it('wants all hints to match', () => {
    assert.match(chosen([SATA, NVME], { serial: 'S4EV', model: 'INTEL OPTANE' }), /No disk fits/)
  })
})

describe('formatBytes', () => {
  it('writes sizes as disks are sold', () => {
    assert.deepEqual([0, 512, 1500, 8_000_000_000, 4e12].map(formatBytes), [
      '0 bytes',
      '512 bytes',
      '1.5 kB',
      '8.0 GB',
      '4.0 TB',
    ])
  })
})
