import assert from 'node:assert/strict'
import { it } from 'node:test'
import { partitionPath } from '#agent/steps/step.ts'

it('names partitions as the kernel does', () => {
  assert.equal(partitionPath('/dev/sda', 2), '/dev/sda2')
  assert.equal(partitionPath('/dev/nvme0n1', 2), '/dev/nvme0n1p2')
  assert.equal(partitionPath('/dev/mmcblk0', 1), '/dev/mmcblk0p1')
  assert.equal(partitionPath('/dev/loop3', 12), '/dev/loop3p12')
})
