import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseBtrfsDeviceId } from '#agent/grow/file-system.ts'
import { parseSfdiskJson } from '#agent/system/layout.ts'
import type { Layout } from '#protocol/disk/disk-layout.ts'
import { planGrowth } from '#protocol/disk/growth.ts'

const GIB = 1024 ** 3
const TIB = 1024 ** 4
/** Sectors of 512 bytes. */
const MIB_SECTORS = 2048

type Part = [number: number, startMib: number, sizeMib: number, type?: string]

function layout(table: 'gpt' | 'mbr', parts: Part[], usableEnd?: number): Layout {
  const partitions = parts.map(([number, start, size, type = '83']) => ({
    number,
    path: `/dev/sda${number}`,
    startSector: start * MIB_SECTORS,
    sizeSectors: size * MIB_SECTORS,
    type,
  }))
  return { table, sectorBytes: 512, partitions, ...(usableEnd !== undefined && { usableEnd }) }
}

describe('the plan of a growth', () => {
  it('ends a GPT partition at the last full MiB before the backup table', () => {
    const usableEnd = (10 * GIB) / 512 - 33
    const plan = planGrowth(
      layout(
        'gpt',
        [
          [1, 1, 100],
          [2, 101, 900],
        ],
        usableEnd,
      ),
      2,
      10 * GIB,
    )
    const sizeSectors = (10 * 1024 - 1 - 101) * MIB_SECTORS
    assert.deepEqual(plan, {
      kind: 'grow',
      changes: [{ number: 2, path: '/dev/sda2', sizeSectors }],
    })
  })

  it('goes by the place on the disk, not by the number', () => {
    const parts = layout('mbr', [
      [2, 1, 100],
      [1, 101, 900],
    ])
    assert.equal(planGrowth(parts, 1, 10 * GIB).kind, 'grow')
    const blocked = planGrowth(parts, 2, 10 * GIB)
    assert.deepEqual(blocked, {
      kind: 'blocked',
      reason: '/dev/sda2 is not the last partition: /dev/sda1 lies behind it',
    })
  })

  it('grows the extended partition before the logical one in it', () => {
    const parts = layout('mbr', [
      [1, 1, 100],
      [2, 101, 900, '5'],
      [5, 102, 100],
      [6, 203, 798],
    ])
    const plan = planGrowth(parts, 6, 10 * GIB)
    assert(plan.kind === 'grow')
    assert.deepEqual(
      plan.changes.map(({ number, sizeSectors }) => [number, sizeSectors / MIB_SECTORS]),
      [
        [2, 10240 - 101],
        [6, 10240 - 203],
      ],
    )
    assert.equal(planGrowth(parts, 5, 10 * GIB).kind, 'blocked')
  })

  it('is blocked by swap in an extended partition behind the root', () => {
    const parts = layout('mbr', [
      [1, 1, 900],
      [2, 901, 100, '5'],
      [5, 902, 99, '82'],
    ])
    assert.equal(planGrowth(parts, 1, 10 * GIB).kind, 'blocked')
  })

  it('is blocked by an extended partition behind the root that holds none any more', () => {
    const parts = layout('mbr', [
      [1, 1, 900],
      [2, 901, 100, '5'],
    ])
    const blocked = planGrowth(parts, 1, 10 * GIB)
    assert.deepEqual(blocked, {
      kind: 'blocked',
      reason: '/dev/sda1 is not the last partition: /dev/sda2 lies behind it',
    })
  })

  it('finds a partition full that ends less than a MiB before the end', () => {
    const usableEnd = GIB / 512 - 33
    assert.equal(planGrowth(layout('gpt', [[1, 1, 1022]], usableEnd), 1, GIB).kind, 'full')
  })

  it('stops at the 2 TiB that an MBR can tell, and says so', () => {
    const plan = planGrowth(layout('mbr', [[1, 1, 900]]), 1, 3 * TIB)
    assert(plan.kind === 'grow')
    assert.match(plan.limit ?? '', /reaches no further than 2.0 TiB/)
    const { sizeSectors } = plan.changes[0]!
    assert.equal(sizeSectors, 2 ** 32 - MIB_SECTORS - MIB_SECTORS)
    const full = layout('mbr', [[1, 1, 2 ** 32 / MIB_SECTORS - 2]])
    assert.match(planGrowth(full, 1, 3 * TIB).kind, /full/)
  })

  it('counts in the sectors of the disk', () => {
    const usableEnd = GIB / 4096 - 5
    const partition = { number: 1, path: '/dev/sda1', startSector: 256, sizeSectors: 256, type: '' }
    const large: Layout = { table: 'gpt', sectorBytes: 4096, partitions: [partition], usableEnd }
    const plan = planGrowth(large, 1, GIB)
    assert(plan.kind === 'grow')
    assert.equal(plan.changes[0]!.sizeSectors, 1022 * 256)
  })
})

describe('a partition table as sfdisk tells it', () => {
  it('names NVMe partitions as the kernel does, in the order of the disk', () => {
    const text = JSON.stringify({
      partitiontable: {
        label: 'gpt',
        sectorsize: 4096,
        lastlba: 999,
        partitions: [
          { node: '/dev/nvme0n1p2', start: 500, size: 20, type: 'ABC' },
          { node: '/dev/nvme0n1p1', start: 100, size: 20, type: 'DEF' },
        ],
      },
    })
    const parsed = parseSfdiskJson(text, '/dev/nvme0n1')
    assert.deepEqual(
      parsed.partitions.map(({ path, type }) => [path, type]),
      [
        ['/dev/nvme0n1p1', 'def'],
        ['/dev/nvme0n1p2', 'abc'],
      ],
    )
    assert.equal(parsed.usableEnd, 1000)
  })
})

describe('the device number of a btrfs', () => {
  const show = (rows: string) =>
    `Label: none  uuid: 0c0c\n\tTotal devices 1 FS bytes used 147456\n${rows}\n`

  it('is read from what btrfs shows', () => {
    const text = show('\tdevid    3 size 314572800 used 96468992 path /dev/sda2')
    assert.equal(parseBtrfsDeviceId(text, '/dev/sda2'), 3)
  })

  it('is refused where the file system lies on another disk, too', () => {
    const row = (id: number, path: string) => `\tdevid    ${id} size 1 used 1 path ${path}`
    const two = show([row(1, '/dev/sda2'), row(2, '/dev/sdb1')].join('\n'))
    assert.throws(() => parseBtrfsDeviceId(two, '/dev/sda2'), /spans 2 devices/)
    assert.throws(() => parseBtrfsDeviceId(show(row(1, '/dev/sdb1')), '/dev/sda2'))
  })
})
