import assert from 'node:assert/strict'
import { it } from 'node:test'
import { surveyXfs } from '#agent/used/file-systems/xfs.ts'
import type { RegionView } from '#agent/used/region.ts'

it('an XFS with more blocks than partclone counts is copied whole', async () => {
  const superblock = Buffer.alloc(512)
  superblock.write('XFSB')
  superblock.writeBigUInt64BE(2n ** 32n + 1n, 8)
  const view: RegionView = {
    path: '/dev/null',
    sizeBytes: (2 ** 32 + 1) * 4096,
    region: { name: 'Partition 1', start: 0, end: (2 ** 32 + 1) * 4096 },
    peek: async (start, length) => superblock.subarray(start, start + length),
  }
  const exec = () => Promise.reject(new Error('nobody is asked'))
  const use = await surveyXfs({ exec, signal: AbortSignal.timeout(60_000) }, view, { type: 'xfs' })
  const reason = 'it has 4294967297 blocks, which partclone miscounts'
  assert.deepEqual(use, { kind: 'whole', reason })
})
