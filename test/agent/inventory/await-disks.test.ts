import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { awaitDisks } from '#agent/inventory/await-disks.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { createDisk } from '#test/support/inventory.ts'

const STICK = createDisk({ path: '/dev/sdb', removable: true, transport: 'usb' })

/** The disks of a machine, look by look; the last look goes on. */
async function waitThrough(looks: Disk[][]) {
  const lines: string[] = []
  let looked = 0
  await awaitDisks(async () => looks[Math.min(looked++, looks.length - 1)]!, {
    signal: new AbortController().signal,
    say: (text) => lines.push(text),
    pauseMilliseconds: 1,
  })
  return { lines, looked }
}

describe('the wait for a first disk', () => {
  it('is none where there is one', async () => {
    assert.deepEqual(await waitThrough([[STICK, createDisk()]]), { lines: [], looked: 1 })
  })

  it('ends as soon as there is one, and a stick is not it', async () => {
    const { lines, looked } = await waitThrough([[], [STICK], [STICK, createDisk()]])
    assert.equal(looked, 3)
    assert.deepEqual(lines, ['No disk has appeared yet; waiting for one, up to 10 s'])
  })

  it('ends on a machine without disks', async () => {
    assert.equal((await waitThrough([[]])).looked, 9)
  })
})
