import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openLock } from '#lab/lock.ts'

/** Above the largest that Linux gives (PID_MAX_LIMIT). */
const DEAD_PID = 5_000_000
const quiet = () => undefined

describe('lock', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-lock-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('lets one in at a time', async () => {
    const file = path.join(folder, 'one')
    let inside = 0
    const work = async () => {
      await using _lock = await openLock(file, quiet)
      assert.equal(++inside, 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      inside--
    }
    await Promise.all([work(), work(), work()])
    assert.ok(!existsSync(file))
  })

  it('is taken over from a process that is no more', async () => {
    const file = path.join(folder, 'dead')
    await writeFile(file, String(DEAD_PID))
    await using _lock = await openLock(file, quiet)
  })
})
