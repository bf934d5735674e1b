import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import type { Exchange } from '#test/support/phase-proxy.ts'
import { BOOT_ENV, bootAndDeploy, judgeRun, type LoggedRun } from './boot.ts'
import { testCells, type Cell } from './cell.ts'
import { openFaultLab, type FaultLab } from './fault-lab.ts'
import type { Chance } from './seed.ts'

/** What a client that was answered once more may hear: the same, or that it is over. */
const LATE_STATUSES = new Set([200, 204, 401, 409])

type Call = 'hello' | 'reports' | 'log' | 'result'
const ALL: readonly Call[] = ['hello', 'reports', 'log', 'result']

function callOf({ method, path }: Exchange): Call | undefined {
  return method === 'POST' && path.startsWith('/agent/')
    ? ALL.find((call) => path.endsWith(`/${call}`))
    : undefined
}

type Repeat = (earlier: (() => Promise<number>)[], chance: Chance) => (() => Promise<number>)[]

/** At once, so that both are on their way together. */
const TWICE: Repeat = (earlier) => earlier.slice(-1)
/** What came long ago, after what came since. */
const LATE: Repeat = (earlier, chance) => shuffled(earlier.slice(0, -1), chance).slice(0, 3)

function shuffled<Item>(items: readonly Item[], chance: Chance): Item[] {
  const left = [...items]
  return items.map(() => left.splice(chance.integer(0, left.length), 1)[0]!)
}

function repeated(kind: string, repeat: Repeat): Cell<FaultLab> {
  return {
    place: 'wire, each call of a run',
    kind,
    moment: 'each time, and all in another order after the end',
    outcomes: ['verified'],
    async run(lab, chance) {
      lab.reset()
      const sent: (() => Promise<number>)[] = []
      const seen = new Set<string>()
      const late: Promise<number>[] = []
      lab.proxy.hold = async (exchange, again) => {
        const call = callOf(exchange)
        if (!call) return
        seen.add(call)
        sent.push(again)
        const copies = repeat(sent, chance).map((send) => send())
        late.push(...copies)
        // Late ones are there before what comes next; of two at once, either may be first.
        if (repeat === LATE) await Promise.all(copies)
      }
      const run = await bootAndDeploy(lab)
      lab.proxy.hold = undefined
      const before = await read(lab, run)
      for (const send of shuffled(sent, chance)) late.push(send())
      for (const status of await Promise.all(late))
        assert.ok(LATE_STATUSES.has(status), `A call that came again was answered ${status}`)
      assert.deepEqual([...seen].toSorted(), ALL.toSorted())
      assert.deepEqual(await read(lab, run), before, 'What came again changed the run')
      assertOrderly(run)
      return judgeRun(lab, run)
    },
  }
}

async function read(lab: FaultLab, { id }: LoggedRun): Promise<LoggedRun> {
  return (await (await lab.call('GET', `/api/runs/${id}`)).json()) as LoggedRun
}

function assertOrderly({ steps, attempts, log }: LoggedRun): void {
  assert.equal(attempts, 1)
  for (const { name, state, bytesDone, bytesTotal } of steps) {
    assert.ok(state === 'succeeded' || state === 'skipped', `Step ${name} is ${state}`)
    assert.equal(bytesDone, bytesTotal, `Step ${name} ended before its end`)
  }
  assert.deepEqual(
    log.map(({ offset }) => offset),
    log.map((_, index) => index),
  )
  const started = log.flatMap(({ text }) => /^Step (\S+)$/.exec(text)?.[1] ?? [])
  assert.deepEqual(
    started,
    steps.map(({ name }) => name),
  )
}

const CELLS: Cell<FaultLab>[] = [
  repeated('comes twice', TWICE),
  repeated('comes again, late', LATE),
]

describe('what an agent says', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  before(async () => {
    lab = await openFaultLab({ env: BOOT_ENV })
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells(CELLS, () => lab)
})
