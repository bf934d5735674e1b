import { after, before, describe } from 'node:test'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { PHASES, type Exchange, type Phase } from '#test/support/phase-proxy.ts'
import { testCells, type Cell } from './cell.ts'
import { openFaultLab, type FaultLab } from './fault-lab.ts'
import type { Chance } from './seed.ts'

type Outcomes = Cell<FaultLab>['outcomes']
/** What becomes of the body of an answer. */
type Damage = (body: Buffer, chance: Chance) => Buffer

const DAMAGES: Record<string, Damage> = {
  // Not in the first bytes, where gzip has a time that nobody looks at; and all bits of one byte, for
  // what fills up the last byte of a block means nothing either.
  'bit flip': (body, chance) => {
    const damaged = Buffer.from(body)
    damaged[chance.integer(Math.floor(body.length / 2), body.length)]! ^= 0xff
    return damaged
  },
  'short body': (body, chance) => body.subarray(0, chance.integer(1, body.length)),
  'empty body': () => Buffer.alloc(0),
  'bytes after the end': (body) => Buffer.concat([body, Buffer.from('more')]),
}

const MANIFEST = /^\/images\/by-digest\//
const CHUNK = /^\/chunks\//
/** Before the first write: the segment, and the image's head, which says whether it boots here. */
const SEGMENT = 1
/** In the middle of the writes. */
const LATER = 9

interface Answers {
  name: string
  path: RegExp
  /** From the how-manieth on, and how many different ones. */
  first: number
}

const ANSWERS: Answers[] = [
  { name: 'manifest', path: MANIFEST, first: 1 },
  { name: 'segment', path: CHUNK, first: SEGMENT },
  { name: 'chunk', path: CHUNK, first: LATER },
]

function damaged(
  answers: Answers,
  kind: string,
  often: 'once' | 'always',
  outcomes: Outcomes,
): Cell<FaultLab> {
  const damage = DAMAGES[kind]!
  const moment = often === 'once' ? 'first time it is asked for' : 'each time it is asked for'
  return {
    place: `wire, ${answers.name} to the agent`,
    kind,
    moment,
    outcomes,
    async run(lab, chance) {
      lab.reset()
      const wanted = choose(answers)
      let count = 0
      lab.proxy.alterAnswer = (exchange, body) => {
        if (!wanted(exchange)) return undefined
        return often === 'always' || count++ === 0 ? damage(body, chance) : undefined
      }
      return lab.judge(await deploy(lab))
    },
  }
}

/** The one that is asked for as the `first` of its kind. */
function choose({ path, first }: Answers): (exchange: Exchange) => boolean {
  const seen = new Set<string>()
  let chosen: string | undefined
  return (exchange) => {
    if (exchange.method !== 'GET' || !path.test(exchange.path)) return false
    seen.add(exchange.path)
    if (seen.size === first) chosen ??= exchange.path
    return exchange.path === chosen
  }
}

function swapped(): Cell<FaultLab> {
  return {
    place: 'wire, chunk to the agent',
    kind: "another chunk's body",
    moment: 'each time it is asked for',
    outcomes: ['not bootable'],
    async run(lab) {
      lab.reset()
      const wanted = choose({ name: '', path: CHUNK, first: LATER })
      let other: Buffer | undefined
      lab.proxy.alterAnswer = (exchange, body) => {
        const isWanted = wanted(exchange)
        if (!isWanted && CHUNK.test(exchange.path)) other ??= body
        return isWanted ? other : undefined
      }
      return lab.judge(await deploy(lab))
    },
  }
}

function cut(answers: Answers, phase: Phase): Cell<FaultLab> {
  return {
    place: `wire, ${answers.name} to the agent`,
    kind: 'cut',
    moment: phase,
    outcomes: ['verified'],
    async run(lab) {
      lab.reset()
      const wanted = choose(answers)
      let count = 0
      lab.proxy.fault = (exchange) => (wanted(exchange) && count++ < 2 ? phase : undefined)
      return lab.judge(await deploy(lab))
    },
  }
}

function deploy(lab: FaultLab) {
  return lab.start('deploy', { serverUrl: lab.proxy.url }).ended
}

const [manifest, segment, chunk] = ANSWERS as [Answers, Answers, Answers]

const CELLS: Cell<FaultLab>[] = [
  ...ANSWERS.map((answers) => damaged(answers, 'bit flip', 'once', ['verified', 'untouched'])),
  damaged(manifest, 'bit flip', 'always', ['untouched']),
  damaged(manifest, 'short body', 'always', ['untouched']),
  damaged(segment, 'bit flip', 'always', ['untouched']),
  damaged(segment, 'short body', 'always', ['untouched']),
  ...Object.keys(DAMAGES).map((kind) => damaged(chunk, kind, 'always', ['not bootable'])),
  swapped(),
  // Of the others, each phase is tested with the calls of a run: test/agent/interruption.test.ts.
  ...PHASES.map((phase) => cut(segment, phase)),
]

describe('the wire of a deployment', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  before(async () => {
    lab = await openFaultLab()
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells(CELLS, () => lab)
})
