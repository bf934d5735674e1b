import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseSha256 } from '#protocol/sha256.ts'
import { createCompleteImages } from '#server/care/complete-images.ts'
import { StoreUnreachableError } from '#server/images/store/chunk-store.ts'
import { openTestDatabase } from '#test/support/database.ts'
import { log } from './care-lab.ts'

const DIGEST = parseSha256('ab'.repeat(32))
const MINUTE = 60_000

async function openImages(findLostOf: (signal: AbortSignal) => Promise<void>) {
  const database = await openTestDatabase()
  const clock = { now: 0 }
  let looks = 0
  const lacking = createCompleteImages({
    db: database.db,
    damage: {
      heal: async () => 0,
      async findLostOf(_digest, signal) {
        looks++
        await findLostOf(signal)
      },
    },
    log,
    lookMilliseconds: 50,
    steady: () => clock.now,
  })
  return {
    clock,
    looks: () => looks,
    lacking: () => lacking(DIGEST),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}

describe('whether an image is complete', () => {
  it('is looked at once for all machines that are deployed together, and again later', async () => {
    await using images = await openImages(() => sleep(1))
    await Promise.all([images.lacking(), images.lacking()])
    images.clock.now = 9 * MINUTE
    await images.lacking()
    assert.equal(images.looks(), 1)
    images.clock.now = 11 * MINUTE
    await images.lacking()
    assert.equal(images.looks(), 2)
  })

  it('keeps no machine waiting for long, however large the image is', async () => {
    await using images = await openImages(async (signal) => {
      await sleep(600_000, undefined, { signal })
    })
    assert.equal(await images.lacking(), 0)
    assert.equal(await images.lacking(), 0)
    assert.equal(images.looks(), 1)
  })

  it('is no question that keeps an image back when it cannot be answered', async () => {
    await using images = await openImages(async () => {
      throw new Error('The database is full')
    })
    assert.equal(await images.lacking(), 0)
  })

  it('is not known while the store is away', async () => {
    let isAway = true
    await using images = await openImages(async () => {
      if (isAway) throw new StoreUnreachableError('The chunk store is not there')
    })
    await assert.rejects(images.lacking(), StoreUnreachableError)
    isAway = false
    assert.equal(await images.lacking(), 0)
    assert.equal(images.looks(), 2)
  })
})
