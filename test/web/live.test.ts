import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ActiveRun, Machine } from '#protocol/machine/machine.ts'
import { createInventory } from '#test/support/inventory.ts'
import { itemsAfter, machinesAfter, mayChangeImageUse } from '../../web/live/apply-events.ts'
import { formatBytes, formatDuration, formatRelative } from '../../web/components/format.ts'
import { diskParts } from '../../web/components/disk-layout.ts'

const run: ActiveRun = {
  id: 'run-1',
  workflow: 'deploy',
  state: 'running',
  step: 'check-machine',
  bytesDone: 0,
  bytesTotal: 0,
  bytesPerSecond: 0,
  createdAt: '2026-05-01T12:00:00.000Z',
  claimedBy: 'agent',
  lastReportAt: null,
  timesOutAt: '2026-05-01T12:09:00.000Z',
}
const one: Machine = {
  mac: '52:54:00:00:00:01',
  macs: [],
  name: 'one',
  locked: false,
  tags: [],
  state: 'running',
  lastSeenAt: null,
  run,
}
const two: Machine = { ...one, mac: '52:54:00:00:00:02', name: 'two', run: { ...run, id: 'run-2' } }
const progress = {
  run: 'run-1',
  mac: one.mac,
  step: 'write-image',
  state: 'running',
  bytesDone: 5,
  bytesTotal: 10,
  bytesPerSecond: 1,
  lastReportAt: '2026-05-01T12:00:00.000Z',
  timesOutAt: '2026-05-01T12:10:00.000Z',
}

describe('live events', () => {
  it('change, add and take away machines, and leave the others the same objects', () => {
    const changed = { ...one, name: 'renamed' }
    const three = { ...one, mac: '52:54:00:00:00:03', name: 'three' }
    const after = machinesAfter(
      [one, two],
      [
        { kind: 'machine', data: changed },
        { kind: 'machine', data: three },
      ],
    )
    assert.deepEqual(
      after.map(({ name }) => name),
      ['renamed', 'two', 'three'],
    )
    assert.equal(after[1], two)
    const gone = machinesAfter(after, [{ kind: 'machine', data: { ...two, deleted: true } }])
    assert.deepEqual(
      gone.map(({ name }) => name),
      ['renamed', 'three'],
    )
  })

  it('keep inventories out of the list', () => {
    const [kept] = machinesAfter(
      [one],
      [{ kind: 'machine', data: { ...one, inventory: createInventory() } }],
    )
    assert.equal(kept!.inventory, undefined)
  })

  it('bring progress to the machine whose run it is of, and to no other run', () => {
    const [first, second] = machinesAfter([one, two], [{ kind: 'progress', data: progress }])
    assert.equal(first!.run!.step, 'write-image')
    assert.equal(first!.run!.bytesDone, 5)
    assert.equal(first!.run!.timesOutAt, progress.timesOutAt)
    assert.equal(second, two)
    const other = { ...progress, run: 'an older run' }
    assert.equal(machinesAfter([one], [{ kind: 'progress', data: other }])[0], one)
  })

  it('tell of images only where an assignment, a run or a name of a user changed', () => {
    const assigned = { ...one, image: 'web' }
    const { run: _ended, ...idle } = assigned
    const after = (data: Machine & { deleted?: boolean }, list: Machine[] = [assigned]) =>
      mayChangeImageUse(list, [{ kind: 'machine', data }])
    assert.equal(after({ ...assigned, state: 'booting', locked: true }), false)
    assert.equal(after({ ...two, name: 'renamed' }, [two]), false)
    assert.equal(mayChangeImageUse([assigned], [{ kind: 'progress', data: progress }]), false)
    assert.equal(mayChangeImageUse(undefined, []), false)
    const changes = [
      { ...assigned, image: 'web@1' },
      { ...assigned, name: 'renamed' },
      { ...assigned, deleted: true },
      one,
      idle,
      two,
    ]
    for (const data of changes) assert.equal(after(data), true, JSON.stringify(data))
    assert.equal(after({ ...assigned, deleted: true }, []), true)
    assert.equal(mayChangeImageUse(undefined, [{ kind: 'machine', data: assigned }]), true)
  })

  it('leave a list alone that they do not concern', () => {
    const list = [one, two]
    assert.equal(machinesAfter(list, []), list)
    assert.equal(
      itemsAfter(list, [], ({ mac }) => mac),
      list,
    )
  })
})

describe('formats', () => {
  it('print sizes with three digits and never a thousand of a unit', () => {
    const texts = [0, 999, 1000, 999_600, 21_474_836_480, 480_103_981_056].map(formatBytes)
    assert.deepEqual(texts, ['0 B', '999 B', '1.00 kB', '1.00 MB', '21.5 GB', '480 GB'])
  })

  it('print durations in two units at most', () => {
    assert.deepEqual([0, 59.4, 60, 200, 7500, 273_600].map(formatDuration), [
      '0 s',
      '59 s',
      '1 min',
      '3 min 20 s',
      '2 h 5 min',
      '3 d 4 h',
    ])
  })

  it('print times from now, in both directions', () => {
    const now = new Date('2026-05-01T12:00:00.000Z')
    const at = (seconds: number) => formatRelative(new Date(now.getTime() + seconds * 1000), now)
    assert.deepEqual(
      [at(-3), at(-45), at(-3700), at(7300)],
      ['just now', '45 s ago', '1 h ago', 'in 2 h'],
    )
    const almost = [3599, 86_399, 7 * 86_400 - 1]
    assert.deepEqual(
      [...almost.map((seconds) => at(-seconds)), ...almost.map((seconds) => at(seconds))],
      ['59 min ago', '23 h ago', '6 d ago', 'in 1 h', 'in 1 d', 'in 7 d'],
    )
  })
})

describe('a disk drawn to scale', () => {
  const MIB = 1024 ** 2
  it('shows partitions in the order of the disk and free space, but no gaps of alignment', () => {
    const parts = diskParts(1000 * MIB, [
      { number: 2, startBytes: 501 * MIB, sizeBytes: 249 * MIB },
      { number: 1, startBytes: MIB, sizeBytes: 500 * MIB },
    ])
    assert.deepEqual(
      parts.map((part) => (part.kind === 'free' ? 'free' : part.partition.number)),
      [1, 2, 'free'],
    )
    assert.deepEqual(
      parts.map(({ percent }) => Math.round(percent)),
      [50, 25, 25],
    )
  })
})
