import { after, before, describe } from 'node:test'
import { CHUNK_BYTES } from '#protocol/image.ts'
import type { DiskFault } from '#test/support/fault-disk.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import type { DiskRequest } from '#test/support/fuse-file.ts'
import { testCells, type Cell } from './cell.ts'
import { openFaultLab, type FaultLab } from './fault-lab.ts'
import { DISK_BYTES } from './system-disk.ts'

const SECTOR_BYTES = 512
const EIO = { kind: 'error', errno: 'EIO' } as const

type Kind = DiskRequest['kind']
interface Where {
  name: string
  /** A byte of the disk. */
  at: number
}

const HEAD: Where = { name: 'in the partition table', at: 2 * SECTOR_BYTES }
const WIPED: Where = { name: 'in the first 4 MiB', at: 3 * CHUNK_BYTES + 5000 }
const BEGINNING: Where = { name: 'at the beginning', at: 5 * CHUNK_BYTES + 5000 }
const MIDDLE: Where = { name: 'in the middle', at: 25 * CHUNK_BYTES }
const ZERO: Where = { name: 'where zeros belong', at: 35 * CHUNK_BYTES + 12_345 }
const END: Where = { name: 'at the end', at: 45 * CHUNK_BYTES - 1 }
const BACKUP: Where = { name: 'in the backup table', at: DISK_BYTES - SECTOR_BYTES }

type Order = (request: DiskRequest) => DiskFault | undefined

/** For requests of these kinds that touch the byte, from the `first` of them on, `count` of them. */
function on(
  kinds: readonly Kind[],
  { at }: Where,
  fault: DiskFault,
  { first = 1, count = Number.POSITIVE_INFINITY } = {},
): Order {
  let seen = 0
  return ({ kind, start, end }) => {
    if (!kinds.includes(kind) || at < start || end <= at) return undefined
    seen++
    return seen >= first && seen < first + count ? fault : undefined
  }
}

const WRITES: readonly Kind[] = ['write', 'zero', 'discard']

function deployment(
  [place, kind, moment]: [string, string, string],
  outcomes: Cell<FaultLab>['outcomes'],
  order: () => Order,
): Cell<FaultLab> {
  return {
    place,
    kind,
    moment,
    outcomes,
    async run(lab) {
      lab.reset()
      lab.disk.fault = order()
      const ended = await lab.start('deploy').ended
      return lab.judge(ended)
    },
  }
}

const CELLS: Cell<FaultLab>[] = [
  deployment(['target', 'none', 'clean'], ['verified'], () => () => undefined),
  ...[HEAD, BACKUP].map((where) =>
    deployment([`target, ${where.name}`, 'EIO', 'each write'], ['untouched'], () =>
      on(WRITES, where, EIO),
    ),
  ),
  ...[WIPED, BEGINNING, MIDDLE, ZERO, END].map((where) =>
    deployment([`target, ${where.name}`, 'EIO', 'each write'], ['not bootable'], () =>
      on(WRITES, where, EIO),
    ),
  ),
  ...[HEAD, MIDDLE, END, BACKUP].map((where) =>
    deployment([`target, ${where.name}`, 'EIO', 'each read'], ['not bootable'], () =>
      on(['read'], where, EIO),
    ),
  ),
]

describe('the target of a deployment', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  before(async () => {
    lab = await openFaultLab()
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells(CELLS, () => lab)
})
