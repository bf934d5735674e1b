import { after, before, describe } from 'node:test'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { PHASES, type Phase } from '#test/support/phase-proxy.ts'
import { openSmallDisk, type SmallDisk } from '#test/support/small-disk.ts'
import { testCells, type Cell } from './cell.ts'
import * as order from './disk-orders.ts'
import { BACKUP, HEAD, MIDDLE, READS } from './disk-orders.ts'
import { CHUNK_PATH, openFaultLab, type FaultLab } from './fault-lab.ts'
import type { Chance } from './seed.ts'
import { systemDisk } from './system-disk.ts'

const EIO = { kind: 'error', errno: 'EIO' } as const
/** Each cell captures a disk of its own: of another, the server has no chunk. */
const FIRST_SYSTEM = 100
const STORE_MIB = 512
/** Captures of a disk that has 18 chunks of content. */
const LAST_CHUNK = 15
/** Of these, as many are noise, a MiB each; the others repeat a few words. */
const LAST_NOISE = 8
const NOISE_BYTES = 1024 * 1024
/** A write that fails gives up the room that it took: more must be wanted than may be under way. */
const LAST_BEFORE_FULL = 4

type Outcomes = Cell<FaultLab>['outcomes']
type Prepare = (lab: FaultLab, chance: Chance) => void | Promise<unknown>

let count = 0
let store: SmallDisk
/** Of a server that a cell killed. */
let restarted: Promise<void> | undefined

function restart({ server }: FaultLab): void {
  restarted = server.kill().then(() => server.start())
}

function cell(
  [place, kind, moment]: [string, string, string],
  outcomes: Outcomes,
  prepare: Prepare,
  undo: (lab: FaultLab) => Promise<unknown> = async () => {},
): Cell<FaultLab> {
  return {
    place,
    kind,
    moment,
    outcomes,
    async run(lab, chance) {
      const number = ++count
      const image = `captured-${number}`
      lab.reset(await systemDisk(FIRST_SYSTEM + number))
      try {
        await prepare(lab, chance)
        const options = { image, serverUrl: lab.proxy.url }
        const ended = await lab.start('capture', options).ended
        await restarted
        return await lab.judgeCapture(image, ended)
      } finally {
        lab.disk.fault = undefined
        await undo(lab)
      }
    },
  }
}

const DISK = [
  cell(['source disk', 'no fault', ''], ['complete'], () => {}),
  ...[HEAD, MIDDLE, BACKUP].map((place) =>
    cell([`source disk, ${place.name}`, 'EIO', 'each read'], ['no image'], (lab) => {
      lab.disk.fault = order.always(order.touching(READS, place), EIO)
    }),
  ),
  cell(['source disk', 'ends at 18 MiB', 'always'], ['no image'], (lab) => {
    lab.disk.fault = order.always(({ end }) => end > 18 * 1024 * 1024, EIO)
  }),
]

const COMMIT = /^\/api\/images\/.*\/manifest$/

/** Alters the first body of a chunk, or each, on its way to the server. */
function altered(
  kind: string,
  often: 'once' | 'always',
  outcomes: Outcomes,
  alter: (body: Buffer, chance: Chance) => Buffer,
) {
  const moment = often === 'once' ? 'a random chunk, once' : 'a random chunk, always'
  return cell(['wire, chunk to the server', kind, moment], outcomes, (lab, chance) => {
    let left = chance.integer(1, LAST_NOISE)
    let chosen: string | undefined
    lab.proxy.alterRequest = ({ method, path }, body) => {
      if (method !== 'PUT' || !CHUNK_PATH.test(path)) return undefined
      // Words that repeat are the same again from another offset: a flipped bit may change nothing.
      if (body.length < NOISE_BYTES) return undefined
      const isNow = path === chosen ? often === 'always' : --left === 0
      if (isNow) chosen = path
      return isNow ? alter(body, chance) : undefined
    }
  })
}

function flipBit(body: Buffer, chance: Chance): Buffer {
  const damaged = Buffer.from(body)
  damaged[chance.integer(Math.floor(body.length / 2), body.length)]! ^= 0xff
  return damaged
}

function cut(name: string, wanted: RegExp, phase: Phase) {
  return cell([`wire, ${name} to the server`, 'cut', phase], ['complete'], (lab, chance) => {
    let left = wanted === COMMIT ? 1 : chance.integer(1, LAST_CHUNK)
    lab.proxy.fault = ({ method, path }) =>
      method === 'PUT' && wanted.test(path) && --left === 0 ? phase : undefined
  })
}

const WIRE = [
  altered('bit flip', 'once', ['complete'], flipBit),
  altered('bit flip', 'always', ['no image'], flipBit),
  altered('short body', 'always', ['no image'], (body, chance) =>
    body.subarray(0, chance.integer(1, body.length)),
  ),
  altered('two bodies in one', 'always', ['no image'], (body) => Buffer.concat([body, body])),
  cell(['wire, manifest to the server', 'bit flip', 'always'], ['no image'], (lab, chance) => {
    lab.proxy.alterRequest = ({ path }, body) =>
      COMMIT.test(path) ? flipBit(body, chance) : undefined
  }),
  ...PHASES.map((phase) => cut('chunk', CHUNK_PATH, phase)),
  ...PHASES.map((phase) => cut('manifest', COMMIT, phase)),
]

const ENDS = [
  cell(
    ['server, of a capture', 'kill -9', 'at a random chunk, and it comes back'],
    ['complete'],
    (lab, chance) => {
      let left = chance.integer(1, LAST_CHUNK)
      lab.proxy.alterRequest = ({ method, path }) => {
        if (method === 'PUT' && CHUNK_PATH.test(path) && --left === 0) restart(lab)
        return undefined
      }
    },
  ),
  cell(
    ['server, of a capture', 'kill -9', 'while it commits, and it comes back'],
    ['complete'],
    (lab) => {
      let wasKilled = false
      lab.proxy.alterRequest = ({ path }) => {
        if (!COMMIT.test(path) || wasKilled) return undefined
        wasKilled = true
        setImmediate(() => restart(lab))
        return undefined
      }
    },
  ),
]

/** Takes all the room there is, before each chunk from one on: the server may sweep what earlier captures left. */
function fillFrom(lab: FaultLab, chunk: number): void {
  let left = chunk
  lab.proxy.alterRequest = ({ method, path }) => {
    if (method === 'PUT' && CHUNK_PATH.test(path) && --left <= 0) store.fill()
    return undefined
  }
}

const makeRoom = async () => store.makeRoom()

const FULL = [
  cell(
    ['store', 'ENOSPC', 'from the middle on'],
    ['no image'],
    (lab, chance) => fillFrom(lab, chance.integer(2, LAST_BEFORE_FULL)),
    makeRoom,
  ),
  cell(
    ['store', 'ENOSPC', 'before the capture'],
    ['no image'],
    (lab) => {
      store.fill()
      fillFrom(lab, 1)
    },
    makeRoom,
  ),
  cell(['store', 'ENOSPC', 'mended'], ['complete'], () => {}),
]

describe('a capture', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  const opened = new AsyncDisposableStack()
  before(async () => {
    store = opened.use(await openSmallDisk(STORE_MIB))
    lab = opened.use(await openFaultLab({ env: { STAMPEDE_STORE: `file:${store.path}` } }))
  })
  after(() => opened.disposeAsync())

  testCells([...DISK, ...WIRE, ...ENDS, ...FULL], () => lab)
})
