import assert from 'node:assert/strict'
import { mkdtemp, rm, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { BOOT_ENV, bootAndDeploy, judgeRun } from './boot.ts'
import { testCells, type Cell } from './cell.ts'
import { CHUNK_PATH, openFaultLab, type FaultLab } from './fault-lab.ts'
import { systemDisk } from './system-disk.ts'

const PRELOAD = join(import.meta.dirname, '../support/settable-clock.ts')
/** Each capture is of a disk of its own. */
const FIRST_SYSTEM = 200
/** Deployments and captures have more chunks, whatever chance makes of them. */
const LAST_CHUNK = 12
/** The server looks for runs that are silent every five seconds. */
const TICK_MILLISECONDS = 5500
const DAY_SECONDS = 86_400

let folder = ''
let aheadSeconds = 0
let count = 0

/** At once for the server and all its threads. */
async function setClock(seconds: number): Promise<void> {
  aheadSeconds += seconds
  await writeFile(join(folder, 'new'), String(aheadSeconds))
  await rename(join(folder, 'new'), join(folder, 'clock'))
}

async function sweep(lab: FaultLab): Promise<void> {
  assert.equal((await lab.call('POST', '/api/store/sweep')).status, 200)
}

/**
 * Acts once, before a chunk that chance chooses goes on; and again before each manifest. Chunks come
 * many at a time: what one of them does is done before the next does anything.
 */
function hold(
  lab: FaultLab,
  method: string,
  acts: Record<number, () => Promise<unknown>>,
  beforeCommit?: () => Promise<unknown>,
): void {
  let chunks = 0
  let acted: Promise<unknown> = Promise.resolve()
  lab.proxy.hold = async (exchange) => {
    if (exchange.method === method && CHUNK_PATH.test(exchange.path)) {
      const act = acts[++chunks]
      if (act !== undefined) await (acted = acted.then(act))
    }
    if (exchange.path.endsWith('/manifest')) await beforeCommit?.()
  }
}

function captured(kind: string, seconds: number): Cell<FaultLab> {
  return {
    place: 'clock of the server, of a capture',
    kind,
    moment: 'at a random chunk, and a sweep then and before the commit',
    outcomes: ['complete'],
    async run(lab, chance) {
      const number = ++count
      const image = `captured-${number}`
      lab.reset(await systemDisk(FIRST_SYSTEM + number))
      let sweeps = 0
      const sweepNow = async () => (await sweep(lab), sweeps++)
      const set = async () => (await setClock(seconds), await sweepNow())
      hold(lab, 'PUT', { [chance.integer(2, LAST_CHUNK)]: set }, sweepNow)
      const ended = await lab.start('capture', { image, serverUrl: lab.proxy.url }).ended
      assert.equal(sweeps, 2)
      assert.deepEqual(lab.proxy.sentTwice, [], 'A sweep took chunks of the capture')
      return await lab.judgeCapture(image, ended)
    },
  }
}

const DEPLOYED: Cell<FaultLab> = {
  place: 'clock of the server, of a deployment',
  kind: 'set a day forward, and two back',
  moment: 'at two random chunks, and a sweep each time',
  outcomes: ['verified'],
  async run(lab, chance) {
    lab.reset()
    let sets = 0
    const set = (seconds: number) => async () => {
      await setClock(seconds)
      await sweep(lab)
      sets++
    }
    const forward = set(DAY_SECONDS)
    hold(lab, 'GET', {
      [chance.integer(1, LAST_CHUNK / 2)]: () => forward().then(() => sleep(TICK_MILLISECONDS)),
      [chance.integer(LAST_CHUNK / 2, LAST_CHUNK)]: set(-2 * DAY_SECONDS),
    })
    const run = await bootAndDeploy(lab)
    assert.equal(sets, 2)
    return judgeRun(lab, run)
  },
}

const CELLS = [
  captured('set a day forward', DAY_SECONDS),
  captured('set two days back', -2 * DAY_SECONDS),
  DEPLOYED,
]

describe('a clock that is set', { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  const opened = new AsyncDisposableStack()
  before(async () => {
    folder = opened.adopt(await mkdtemp(join(tmpdir(), 'stampede-clock-')), (path) =>
      rm(path, { recursive: true, force: true }),
    )
    await setClock(0)
    const clock = {
      SETTABLE_CLOCK_FILE: join(folder, 'clock'),
      NODE_OPTIONS: `--import=${PRELOAD}`,
    }
    lab = opened.use(await openFaultLab({ env: { ...BOOT_ENV, ...clock } }))
  })
  after(() => opened.disposeAsync())

  testCells(CELLS, () => lab)
})
