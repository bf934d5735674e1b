import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { exec } from '#agent/exec.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { testCells, type Cell } from './cell.ts'
import { bringing, type Order } from './disk-orders.ts'
import { openFaultLab, type FaultLab } from './fault-lab.ts'
import type { Chance } from './seed.ts'

const TIMES = [1, 2, 3]
const EIO = { kind: 'error', errno: 'EIO' } as const
const FIRST_SECTOR = { name: 'the first sector', at: 0 }
const ANY: Cell<KillLab>['outcomes'] = ['untouched', 'not bootable', 'whole']

interface KillLab extends FaultLab {
  /** That a deployment reads, writes and discards when nobody is in its way. */
  diskBytes: number
}

type Moment = (lab: KillLab, chance: Chance) => (request: Parameters<Order>[0]) => boolean

const atRandom: Moment = ({ diskBytes }, chance) => {
  // The first are those of the inventory. The kernel makes as many requests of them as it likes.
  let left = chance.integer(Math.floor(diskBytes * 0.2), Math.floor(diskBytes * 0.85))
  return ({ start, end }) => (left -= end - start) <= 0
}
const atLastWrite: Moment = ({ golden }) => bringing(golden, FIRST_SECTOR)

interface Cut {
  place: string
  kind: string
  moment: string
  when: Moment
  /** What the disk does with the request of that moment, and from then on. */
  disk?: { atOnce: Order; later: Order }
  /** Comes between the end of the agent and the judge. */
  afterwards?: (lab: KillLab, chance: Chance) => void
}

/** A deployment whose agent is gone at that moment; then the next attempt has to do it. */
function cutShort({ when, disk, afterwards, ...cell }: Cut): Cell<KillLab> {
  return {
    ...cell,
    outcomes: ANY,
    async run(lab, chance) {
      lab.reset()
      const isNow = when(lab, chance)
      const { child, ended } = lab.start('deploy')
      let isCut = false
      lab.disk.fault = (request) => {
        if (isCut) return disk?.later(request)
        if (!isNow(request)) return undefined
        isCut = true
        child.kill('SIGKILL')
        return disk?.atOnce(request)
      }
      await assertKilled(ended)
      lab.disk.fault = undefined
      afterwards?.(lab, chance)
      const outcome = lab.judgeSilent()
      // Whatever it finds, the next attempt ends with the image.
      assert.equal(lab.judge(await lab.start('deploy').ended), 'verified')
      return outcome
    },
  }
}

/** What the agent wrote stays. */
function agentKilled(moment: string, when: Moment): Cell<KillLab> {
  return cutShort({ place: 'agent, deploying', kind: 'kill -9', moment, when })
}

/** The disk does nothing more from that moment on, and forgets some of what it had in its own cache. */
function powerCut(moment: string, when: Moment): Cell<KillLab> {
  return cutShort({
    place: 'machine, deploying',
    kind: 'power cut',
    moment,
    when,
    disk: { atOnce: ({ kind }) => (kind === 'write' ? { kind: 'torn' } : EIO), later: () => EIO },
    afterwards: ({ disk }, chance) => disk.losePower(() => chance.coin()),
  })
}

async function assertKilled(ended: Promise<{ exitCode: number | null; stderr: string }>) {
  const { exitCode, stderr } = await ended
  assert.equal(exitCode, null, `The agent was not killed: ${stderr}`)
}

const SERVER_KILLED: Cell<KillLab> = {
  place: 'server, of a deployment',
  kind: 'kill -9',
  moment: 'at a random chunk, and it comes back',
  outcomes: ['verified'],
  async run(lab, chance) {
    lab.reset()
    let left = chance.integer(1, 15)
    let restarted: Promise<void> | undefined
    lab.proxy.alterAnswer = ({ path }) => {
      if (path.startsWith('/chunks/') && --left === 0)
        restarted = lab.server.kill().then(() => lab.server.start())
      return undefined
    }
    const ended = await lab.start('deploy', { serverUrl: lab.proxy.url }).ended
    assert.ok(restarted, 'The server was not killed')
    await restarted
    return lab.judge(ended)
  },
}

const CELLS: Cell<KillLab>[] = [
  ...TIMES.map((time) => agentKilled(`random moment ${time}`, atRandom)),
  agentKilled('the write of the first sector', atLastWrite),
  ...TIMES.map((time) => powerCut(`random moment ${time}`, atRandom)),
  powerCut('while both ends are made zero', whileWiping),
  powerCut('the write of the first sector', atLastWrite),
  SERVER_KILLED,
]

/** One of the first changes of the disk. */
function whileWiping(_lab: KillLab, chance: Chance) {
  let left = chance.integer(2, 30)
  return ({ kind }: Parameters<Order>[0]) => kind !== 'read' && --left <= 0
}

async function countBytes(lab: FaultLab): Promise<number> {
  let bytes = 0
  lab.reset()
  lab.disk.fault = ({ start, end }) => {
    bytes += end - start
    return undefined
  }
  assert.equal(lab.judge(await lab.start('deploy').ended), 'verified')
  await exec('blockdev', ['--flushbufs', lab.disk.path])
  return bytes
}

describe('a deployment that is cut short', { skip: NEEDS_ROOT }, () => {
  let lab: KillLab
  before(async () => {
    const base = await openFaultLab()
    lab = { ...base, diskBytes: await countBytes(base) }
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells(CELLS, () => lab)
})
