import assert from 'node:assert/strict'
import type { Run } from '#protocol/run/run.ts'
import type { SystemFacts } from '#lab/scenario.ts'

/** The blank disks that the end-to-end tests deploy to. */
export const TARGET_BYTES = 8 * 1024 ** 3
/** Of the target disk, what the root file system has after growth, less its own overhead. */
const GROWN_SHARE = 0.9

export function assertVerified({ steps, receipt }: Run): void {
  assert.equal(receipt?.imageVerified, true)
  assert.deepEqual(
    steps.filter(({ state }) => state === 'failed'),
    [],
  )
}

/** Sees that a system has its own name, identity and address, and all of the disk. */
export function assertInstalled(facts: SystemFacts, name: string): void {
  assert.equal(facts.hostname, name)
  assert.match(facts.machineId, /^[0-9a-f]{32}$/)
  assert.match(facts.address, /^10\.203\.0\.1\d\d\/24$/)
  assert.ok(facts.rootBytes > GROWN_SHARE * TARGET_BYTES, `The root has not grown:\n${facts.df}`)
}
