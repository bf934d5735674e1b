import assert from 'node:assert/strict'
import type { PhaseProxy, Refusal } from '#test/support/phase-proxy.ts'
import type { Cell, Outcome } from './cell.ts'
import type { FaultLab } from './fault-lab.ts'
import type { Ended } from './outcome.ts'
import { systemDisk } from './system-disk.ts'

/** A chunk in the bucket, not on its way between agent and server. */
const OBJECT_PATH = /^\/stampede\/.*\/chunks\//
const LAST_CHUNK = 10
/** Longer than the server tries a request again: agents are told that the store is away. */
const AWAY_MILLISECONDS = 6000
/** Each capture is of a disk of its own: of another, the store has no chunk. */
const FIRST_SYSTEM = 200

const INTERNAL = refusal(500, 'InternalError', 'We encountered an internal error. Please try again')
const SLOW_DOWN = refusal(503, 'SlowDown', 'Please reduce your request rate')

function refusal(status: number, code: string, message: string): Refusal {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`
  return { status, body, isDone: false }
}

interface Work {
  name: string
  method: 'GET' | 'PUT'
  outcomes: readonly Outcome[]
  start(lab: FaultLab): Promise<Ended>
  judge(lab: FaultLab, ended: Ended): Promise<Outcome>
}

let captures = 0
const CAPTURE: Work = {
  name: 'capture',
  method: 'PUT',
  outcomes: ['complete'],
  async start(lab) {
    lab.reset(await systemDisk(FIRST_SYSTEM + ++captures))
    const options = { image: `refused-${captures}`, serverUrl: lab.proxy.url }
    return await lab.start('capture', options).ended
  },
  judge: (lab, ended) => lab.judgeCapture(`refused-${captures}`, ended),
}
const DEPLOYMENT: Work = {
  name: 'deployment',
  method: 'GET',
  outcomes: ['verified'],
  async start(lab) {
    lab.reset()
    return await lab.start('deploy', { serverUrl: lab.proxy.url }).ended
  },
  judge: async (lab, ended) => lab.judge(ended),
}

/** Of the exchanges with S3 that matter, from the first chunk on: whether this one is refused. */
type Choice = (count: number) => boolean

/** All of them, as soon as the chunk at `first` is on its way. */
function during(first: number): Choice {
  let endsAt: number | undefined
  return (count) => {
    if (count < first) return false
    endsAt ??= performance.now() + AWAY_MILLISECONDS
    return performance.now() < endsAt
  }
}

/** S3 refuses what the server asks of it in the middle of a capture or deployment. */
export function s3Refusals(proxy: () => PhaseProxy): Cell<FaultLab>[] {
  function refused(
    work: Work,
    [kind, moment]: [string, string],
    choose: (first: number) => Choice,
    how: (refuse: () => boolean) => Partial<Pick<PhaseProxy, 'refuse' | 'fault'>>,
  ): Cell<FaultLab> {
    return {
      place: `S3 below the store, of a ${work.name}`,
      kind,
      moment,
      outcomes: work.outcomes,
      async run(lab, chance) {
        const isRefused = choose(chance.integer(1, LAST_CHUNK))
        const sentBefore = lab.proxy.sentTwice.length
        let count = 0
        let refusals = 0
        const next = () => {
          const isNow = isRefused(++count)
          if (isNow) refusals++
          return isNow
        }
        const { refuse, fault } = how(next)
        const isOurs: (exchange: { method: string; path: string }) => boolean = ({
          method,
          path,
        }) => method === work.method && OBJECT_PATH.test(path)
        proxy().refuse = refuse && ((exchange) => (isOurs(exchange) ? refuse(exchange) : undefined))
        proxy().fault = fault && ((exchange) => (isOurs(exchange) ? fault(exchange) : undefined))
        const ended = await work
          .start(lab)
          .finally(() => Object.assign(proxy(), { refuse: undefined, fault: undefined }))
        assert.ok(refusals > 0, 'S3 refused nothing')
        assert.equal(lab.proxy.sentTwice.length, sentBefore, 'A chunk that was stored came again')
        return await work.judge(lab, ended)
      },
    }
  }

  const answering = (answer: Refusal) => (isNow: () => boolean) => ({
    refuse: () => (isNow() ? answer : undefined),
  })
  const cutting = (isNow: () => boolean) => ({
    fault: () => (isNow() ? ('in the middle of the answer' as const) : undefined),
  })
  const mostly = () => (count: number) => count % 3 !== 0
  const often = () => (count: number) => count % 3 === 1

  return [
    ...[CAPTURE, DEPLOYMENT].flatMap((work) => [
      refused(work, ['500', 'for a while from a random chunk on'], during, answering(INTERNAL)),
      refused(work, ['503 SlowDown', 'two of three requests'], mostly, answering(SLOW_DOWN)),
    ]),
    refused(
      CAPTURE,
      ['500 for what was done', 'one of three requests'],
      often,
      answering({ ...INTERNAL, isDone: true }),
    ),
    refused(DEPLOYMENT, ['cut', 'in the middle of one of three answers'], often, cutting),
  ]
}
