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
  /** That a deployment makes of the disk when nobody is in its way. */
  requests: number
}

type Moment = (lab: KillLab, chance: Chance) => (request: Parameters<Order>[0]) => boolean

const atRandom: Moment = ({ requests }, chance) => {
  // The first are those of the inventory; and no run needs as many as another.
  let left = chance.integer(Math.floor(requests * 0.2), Math.floor(requests * 0.85))
  return () => --left <= 0
}
const atLastWrite: Moment = ({ golden }) => bringing(golden, FIRST_SECTOR)

/** The agent is gone at once, what it wrote stays; then the next attempt has to do it. */
function agentKilled(moment: string, when: Moment): Cell<KillLab> {
  return {
    place: 'agent, deploying',
    kind: 'kill -9',
    moment,
    outcomes: ANY,
    async run(lab, chance) {
      lab.reset()
      const isNow = when(lab, chance)
      const { child, ended } = lab.start('deploy')
      lab.disk.fault = (request) => {
        if (isNow(request)) child.kill('SIGKILL')
        return undefined
      }
      await assertKilled(ended)
      const outcome = lab.judgeSilent()
      await carryOn(lab)
      return outcome
    },
  }
}

/** The disk does nothing more from that moment on, and forgets some of what it had in its own cache. */
function powerCut(moment: string, when: Moment, isTorn: boolean): Cell<KillLab> {
  return {
    place: 'machine, deploying',
    kind: 'power cut',
    moment,
    outcomes: ANY,
    async run(lab, chance) {
      lab.reset()
      const isNow = when(lab, chance)
      const { child, ended } = lab.start('deploy')
      let isOff = false
      lab.disk.fault = (request) => {
        if (isOff) return EIO
        if (!isNow(request)) return undefined
        isOff = true
        child.kill('SIGKILL')
        return isTorn && request.kind === 'write' ? { kind: 'torn' } : EIO
      }
      await assertKilled(ended)
      lab.disk.fault = undefined
      lab.disk.losePower(() => chance.coin())
      const outcome = lab.judgeSilent()
      await carryOn(lab)
      return outcome
    },
  }
}

async function assertKilled(ended: Promise<{ exitCode: number | null; stderr: string }>) {
  const { exitCode, stderr } = await ended
  assert.equal(exitCode, null, `The agent was not killed: ${stderr}`)
}

/** Whatever it finds, the next attempt ends with the image. */
async function carryOn(lab: KillLab): Promise<void> {
  lab.disk.fault = undefined
  assert.equal(lab.judge(await lab.start('deploy').ended), 'verified')
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
  ...TIMES.map((time) => powerCut(`random moment ${time}`, atRandom, true)),
  powerCut('while both ends are made zero', whileWiping, true),
  powerCut('the write of the first sector', atLastWrite, true),
  SERVER_KILLED,
]

/** One of the first changes of the disk. */
function whileWiping(_lab: KillLab, chance: Chance) {
  let left = chance.integer(2, 30)
  return ({ kind }: Parameters<Order>[0]) => kind !== 'read' && --left <= 0
}

async function countRequests(lab: FaultLab): Promise<number> {
  let requests = 0
  lab.reset()
  lab.disk.fault = () => {
    requests++
    return undefined
  }
  assert.equal(lab.judge(await lab.start('deploy').ended), 'verified')
  await exec('blockdev', ['--flushbufs', lab.disk.path])
  return requests
}

describe('a deployment that is cut short', { skip: NEEDS_ROOT }, () => {
  let lab: KillLab
  before(async () => {
    const base = await openFaultLab()
    lab = { ...base, requests: await countRequests(base) }
  })
  after(() => lab[Symbol.asyncDispose]())

  testCells(CELLS, () => lab)
})
