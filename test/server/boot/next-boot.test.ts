import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BootSituation, nextBoot } from '#server/boot/next-boot.ts'

const now = new Date('2026-05-01T12:00:00Z')
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000)

/** An unknown machine that asks for the first time, where unknown machines are inventoried. */
function situation(changes: Partial<BootSituation> = {}): BootSituation {
  return {
    machine: { entered: false, lastInventoryAt: undefined },
    activeRun: undefined,
    lastRun: undefined,
    unknown: 'inventory',
    isProven: true,
    inventoryScriptsLastHour: 0,
    now,
    ...changes,
  }
}

const entered = { entered: true, lastInventoryAt: undefined }
const agentRun = { id: 'run-1', claimedBy: null }
const failed = {
  workflow: 'deploy',
  state: 'failed',
  error: 'No disk fits',
  finishedAt: minutesAgo(6),
} as const

describe('what a machine boots next', () => {
  it('is the agent while a run is active, whether anyone works on it yet or not', () => {
    for (const claimedBy of [null, 'agent'] as const)
      assert.deepEqual(nextBoot(situation({ activeRun: { id: 'run-1', claimedBy } })), {
        kind: 'agent',
        purpose: 'run',
        runId: 'run-1',
      })
  })

  it('is the local disk while BOOTy works on the run', () => {
    const activeRun = { id: 'run-1', claimedBy: 'booty' } as const
    assert.deepEqual(nextBoot(situation({ activeRun })), { kind: 'local' })
  })

  it('is the local disk, with the reason shown, if the asker may be another machine', () => {
    const next = nextBoot(situation({ activeRun: agentRun, isProven: false }))
    assert.match(next.kind === 'local' ? next.notice! : '', /holds no lease for this MAC/)
  })

  it('is the local disk, with the reason shown, if unknown hardware may be another machine', () => {
    const next = nextBoot(situation({ isProven: false }))
    assert.match(next.kind === 'local' ? next.notice! : '', /not known yet.*STAMPEDE_TRUST_RELAYED/)
    const others: Partial<BootSituation>[] = [
      { machine: entered },
      { machine: { entered: false, lastInventoryAt: minutesAgo(61) } },
      { unknown: 'local' },
    ]
    for (const other of others)
      assert.deepEqual(nextBoot(situation({ ...other, isProven: false })), { kind: 'local' })
  })

  it('is the agent for a look at unknown hardware, hourly at most', () => {
    const inventory = { kind: 'agent', purpose: 'inventory' }
    const seen = (minutes: number) => ({ entered: false, lastInventoryAt: minutesAgo(minutes) })
    assert.deepEqual(nextBoot(situation()), inventory)
    assert.deepEqual(nextBoot(situation({ machine: seen(60) })), inventory)
    assert.deepEqual(nextBoot(situation({ machine: seen(59) })), { kind: 'local' })
  })

  it('is the local disk for an unknown machine on which the agent never comes up', () => {
    assert.equal(nextBoot(situation({ inventoryScriptsLastHour: 2 })).kind, 'agent')
    assert.equal(nextBoot(situation({ inventoryScriptsLastHour: 3 })).kind, 'local')
  })

  it('is the local disk if there is nothing to do', () => {
    const local = { kind: 'local' }
    assert.deepEqual(nextBoot(situation({ machine: entered })), local)
    assert.deepEqual(nextBoot(situation({ unknown: 'local' })), local)
    assert.deepEqual(nextBoot(situation({ unknown: 'ignore' })), local)
    const lastRun = { ...failed, state: 'succeeded', error: null } as const
    assert.deepEqual(nextBoot(situation({ machine: entered, lastRun })), local)
  })

  it('shows a failure of the last day before it goes to the local disk', () => {
    assert.deepEqual(nextBoot(situation({ machine: entered, lastRun: failed })), {
      kind: 'local',
      notice: 'The last deploy failed: No disk fits',
    })
    const timedOut = { ...failed, state: 'timed-out', error: null } as const
    assert.deepEqual(nextBoot(situation({ machine: entered, lastRun: timedOut })), {
      kind: 'local',
      notice: 'The last deploy timed out: no reason is known',
    })
    const old = { ...failed, finishedAt: minutesAgo(24 * 60) }
    assert.deepEqual(nextBoot(situation({ machine: entered, lastRun: old })), { kind: 'local' })
  })

  it('is the agent again for a new run after a failure', () => {
    const next = nextBoot(situation({ machine: entered, activeRun: agentRun, lastRun: failed }))
    assert.equal(next.kind, 'agent')
  })
})
