import { after, before, describe } from 'node:test'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { testCells, type Cell } from './cell.ts'
import * as order from './disk-orders.ts'
import { BACKUP, BEGINNING, END, HEAD, MIDDLE, READS, WIPED, WRITES, ZERO } from './disk-orders.ts'
import { openFaultLab, type FaultLab } from './fault-lab.ts'
import { DISK_BYTES } from './system-disk.ts'

const EIO = { kind: 'error', errno: 'EIO' } as const
const NO_ROOM = { kind: 'error', errno: 'ENOSPC' } as const
const LOST = { kind: 'lost' } as const
const TORN = { kind: 'torn' } as const

const { always, bringing, once, touching } = order

type Outcomes = Cell<FaultLab>['outcomes']

/** A deployment to a disk with another system, or one that is nearly the image. */
function cell(
  [place, kind, moment]: [string, string, string],
  outcomes: Outcomes,
  faultOf: (lab: FaultLab) => order.Order,
  startOf: (lab: FaultLab) => Buffer = ({ old }) => old,
): Cell<FaultLab> {
  return {
    place: place === '' ? 'target disk' : `target disk, ${place}`,
    kind,
    moment,
    outcomes,
    async run(lab) {
      lab.reset(startOf(lab))
      lab.disk.fault = faultOf(lab)
      return lab.judge(await lab.start('deploy').ended)
    },
  }
}

const similar = (lab: FaultLab) => lab.similar
const flipAt = ({ at }: order.Place) => ({ kind: 'flip', at }) as const

const ERRORS = [
  cell(['', 'no fault', 'another system before'], ['verified'], () => () => undefined),
  cell(['', 'no fault', 'nearly the image before'], ['verified'], () => () => undefined, similar),
  ...[HEAD, BACKUP].map((place) =>
    cell([place.name, 'EIO', 'each write'], ['untouched'], () =>
      always(touching(WRITES, place), EIO),
    ),
  ),
  ...[WIPED, BEGINNING, MIDDLE, ZERO, END].map((place) =>
    cell([place.name, 'EIO', 'each write'], ['not bootable'], () =>
      always(touching(WRITES, place), EIO),
    ),
  ),
  ...[HEAD, MIDDLE, BACKUP].map((place) =>
    cell([place.name, 'EIO', 'each read'], ['not bootable'], () =>
      always(touching(READS, place), EIO),
    ),
  ),
  ...[HEAD, MIDDLE, BACKUP].map((place) =>
    cell(
      [place.name, 'EIO', 'reads until it is written'],
      ['verified'],
      () => unreadableUntilWritten(place),
      similar,
    ),
  ),
  ...[HEAD, BACKUP].map((place) =>
    cell([place.name, 'EIO', 'the write of the image'], ['not bootable'], ({ golden }) =>
      always(bringing(golden, place), EIO),
    ),
  ),
  cell(['the middle', 'ENOSPC', 'each write'], ['not bootable'], () =>
    always(touching(WRITES, MIDDLE), NO_ROOM),
  ),
  cell(['', 'EIO', 'first flush'], ['untouched'], () => once(({ kind }) => kind === 'flush', EIO)),
  cell(['', 'EIO', 'flush after the last write'], ['not bootable'], ({ golden }) =>
    order.after(bringing(golden, { name: '', at: 0 }), ({ kind }) => kind === 'flush', EIO),
  ),
  cell(['', 'ends at 18 MiB', 'always'], ['untouched'], () =>
    always(({ end }) => end > 18 * CHUNK_BYTES, EIO),
  ),
]

const LIES = [
  ...[MIDDLE, ZERO, BACKUP, HEAD].map((place) =>
    cell([place.name, 'bit flip', 'the write of the image'], ['not bootable'], ({ golden }) =>
      always(place === ZERO ? touching(WRITES, ZERO) : bringing(golden, place), flipAt(place)),
    ),
  ),
  cell(['the middle', 'bit flip', 'each read'], ['not bootable'], () =>
    always(touching(READS, MIDDLE), flipAt(MIDDLE)),
  ),
  cell(
    ['the middle', 'bit flip', 'one read before the writes'],
    ['verified'],
    () => once(touching(READS, MIDDLE), flipAt(MIDDLE)),
    similar,
  ),
  ...[MIDDLE, ZERO, BACKUP, HEAD].map((place) =>
    cell([place.name, 'lost write', 'the write of the image'], ['not bootable'], ({ golden }) =>
      always(place === ZERO ? touching(WRITES, ZERO) : bringing(golden, place), LOST),
    ),
  ),
  cell(['the partition table', 'lost write', 'zeros only'], ['untouched'], () =>
    always((request) => touching(WRITES, HEAD)(request) && isZeroing(request), LOST),
  ),
  cell(['the partition table', 'lost write', 'zeros, unless they are written'], ['verified'], () =>
    always((request) => touching(['zero', 'discard'], HEAD)(request), LOST),
  ),
  cell(['', 'lost write', 'always: read-only, and silent about it'], ['untouched'], () =>
    always(({ kind }) => WRITES.includes(kind), LOST),
  ),
  cell(['the middle', 'misplaced write', 'one'], ['not bootable'], ({ golden }) =>
    once(bringing(golden, MIDDLE), { kind: 'misplaced', to: 8 * CHUNK_BYTES }),
  ),
  cell(['the middle', 'torn write', 'one'], ['not bootable'], ({ golden }) =>
    once(bringing(golden, MIDDLE), TORN),
  ),
  cell(['', 'half as large as it says', 'always'], ['not bootable'], () => wrapAround, twice),
]

function isZeroing({ kind, data }: Parameters<order.Order>[0]): boolean {
  return kind !== 'write' || data.every((byte) => byte === 0)
}

/** As a sector that a disk replaces when it is written. */
function unreadableUntilWritten(place: order.Place): order.Order {
  let isWritten = false
  return (request) => {
    isWritten ||= touching(WRITES, place)(request)
    return !isWritten && touching(READS, place)(request) ? EIO : undefined
  }
}

const HALF_BYTES = DISK_BYTES / 2

/** A forged disk: what lies behind its real end lands before it. */
const wrapAround: order.Order = ({ kind, start }) =>
  kind === 'flush' || start < HALF_BYTES ? undefined : { kind: 'misplaced', to: start - HALF_BYTES }

/** What such a disk shows. */
function twice({ old }: FaultLab): Buffer {
  const half = old.subarray(0, HALF_BYTES)
  return Buffer.concat([half, half])
}

describe('the target of a deployment', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  before(async () => {
    lab = await openFaultLab()
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells([...ERRORS, ...LIES], () => lab)
})
