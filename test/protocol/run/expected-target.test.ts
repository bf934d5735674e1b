import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkTarget, expectTarget, targetDifferences } from '#protocol/run/expected-target.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { createDisk } from '#test/support/inventory.ts'

const DISK = createDisk({
  path: '/dev/sda',
  model: 'Model 1',
  serial: 'A',
  wwn: '0x5000c500a1b2c3d4',
  sizeBytes: 8_000_000_000,
})
const PLAN = expectTarget(DISK)

describe('a disk and what the plan said of it', () => {
  const changes: [name: string, change: Partial<Disk>, message: RegExp][] = [
    ['model', { model: 'Model 2' }, /^Disk model is "Model 2" but the plan said "Model 1"$/],
    ['serial', { serial: 'B' }, /^Disk serial is "B" but the plan said "A"$/],
    ['WWN', { wwn: '0x5000c500ffffffff' }, /^Disk WWN is "0x5.+" but the plan said "0x5000c500a1b/],
    [
      'size',
      { sizeBytes: 8_000_000_512 },
      /^Disk size is 8\.0 GB \(8000000512 bytes\) but the plan said 8\.0 GB \(8000000000 bytes\)$/,
    ],
    ['sector size', { sectorBytes: 4096 }, /^Disk sector size is 4096 bytes but .+ 512 bytes$/],
    ['content', { fingerprint: '1'.repeat(64) }, /^What is on the disk \(partitions, file systems/],
  ]
  for (const [name, change, message] of changes) {
    it(`differ in ${name} alone`, () => {
      const [difference, ...others] = targetDifferences(PLAN, { ...DISK, ...change })
      assert.match(difference ?? '', message)
      assert.deepEqual(others, [])
    })
  }

  it('differ where one tells what the other does not', () => {
    const { serial: _serial, ...silent } = DISK
    const nameless = expectTarget(silent)
    assert.deepEqual(targetDifferences(PLAN, silent), [
      'Disk serial is not told but the plan said "A"',
    ])
    assert.deepEqual(targetDifferences(nameless, DISK), [
      'Disk serial is "A" but the plan said none',
    ])
  })

  it('are one under another path, unless only the path names it', () => {
    assert.deepEqual(targetDifferences(PLAN, { ...DISK, path: '/dev/sdb' }), [])
    const { serial, wwn, ...nameless } = DISK
    for (const named of [
      { ...nameless, serial },
      { ...nameless, wwn },
    ])
      assert.deepEqual(targetDifferences(expectTarget(named), { ...named, path: '/dev/sdb' }), [])
    const [difference] = targetDifferences(expectTarget(nameless), {
      ...nameless,
      path: '/dev/sdb',
    })
    assert.equal(difference, 'Disk path is /dev/sdb but the plan said /dev/sda')
  })

  it('are one whatever is on it, where the plan could not know that', () => {
    const { fingerprint: _fingerprint, ...unknown } = PLAN
    assert.deepEqual(targetDifferences(unknown, { ...DISK, fingerprint: '1'.repeat(64) }), [])
  })
})

describe('the disks of a machine and what the plan said', () => {
  const other = createDisk({ path: '/dev/sdb', serial: 'B' })

  it('agree on the planned disk', () => {
    assert.deepEqual(checkTarget(PLAN, [DISK], undefined), { kind: 'same', disk: DISK })
    const hints = { serial: 'A' }
    assert.deepEqual(checkTarget(PLAN, [other, DISK], hints), { kind: 'same', disk: DISK })
  })

  it('do not where a second disk makes the choice unclear', () => {
    const check = checkTarget(PLAN, [DISK, other], undefined)
    assert.ok(check.kind === 'mismatch')
    assert.match(check.reason, /^2 disks fit: \/dev\/sda .+ \/dev\/sdb/)
  })

  it('do not where another disk took the place, and say where the planned one is', () => {
    const swapped = [
      { ...DISK, path: '/dev/sdb' },
      { ...other, path: '/dev/sda' },
    ]
    const check = checkTarget(PLAN, swapped, { path: '/dev/sda' })
    assert.ok(check.kind === 'mismatch')
    assert.match(check.reason, /Disk serial is "B" but the plan said "A"/)
    assert.match(check.reason, /The planned disk is now \/dev\/sdb \(8\.0 GB, serial "A"\)$/)
  })

  it('do not where the planned disk itself changed, and no other is taken for it', () => {
    const { wwn: _wwn, ...wwnless } = DISK
    const { serial: _serial, ...serialless } = DISK
    for (const planned of [DISK, wwnless, serialless]) {
      const changed = { ...planned, path: '/dev/sda', sizeBytes: 16_000_000_000 }
      const check = checkTarget(expectTarget(planned), [other, changed], { path: '/dev/sda' })
      assert.ok(check.kind === 'mismatch')
      assert.match(check.reason, /Disk size is 16\.0 GB.+Make a new plan and read it$/)
    }
  })
})
