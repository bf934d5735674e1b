import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ExecError } from '#agent/exec.ts'
import { reasonOf } from '#agent/used/reason.ts'

it('the reason why a program failed is what it says after its version', () => {
  const said = 'dumpe2fs 1.47.0 (5-Feb-2023)\ndumpe2fs: Bad magic number\nCouldn’t find it'
  const err = new ExecError(`"dumpe2fs -h /dev/loop0" failed with exit code 1: ${said}`, 1, said)
  assert.equal(
    reasonOf(err),
    '"dumpe2fs -h /dev/loop0" failed with exit code 1: dumpe2fs: Bad magic number',
  )
})
