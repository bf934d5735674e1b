import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { StoreStatus } from '#protocol/store.ts'
import { StoreFullError } from '#server/images/store/chunk-store.ts'
import {
  checkRoomFor,
  hasRoomToReplace,
  limitStore,
  measureRoom,
  type RoomFacts,
} from '#server/images/store/store-room.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { openTestApp } from '#test/support/test-app.ts'

const GIB = 1024 ** 3

describe('room in the store', () => {
  const cases: [what: string, facts: RoomFacts, availableBytes: number | null][] = [
    ['no limit is known', facts({}), null],
    ['a large disk', facts({ freeBytes: 500 * GIB, totalBytes: 1000 * GIB }), 499 * GIB],
    ['a small disk', facts({ freeBytes: 5 * GIB, totalBytes: 10 * GIB }), Math.floor(4.8 * GIB)],
    ['a disk with less than the reserve', facts({ freeBytes: 1000, totalBytes: GIB }), 0],
    ['a quota alone', facts({ quotaBytes: 1000, usedBytes: 400 }), 600],
    ['a quota that was lowered', facts({ quotaBytes: 1000, usedBytes: 4000 }), 0],
    [
      'a quota on a disk with less',
      facts({ freeBytes: 3 * GIB, totalBytes: 100 * GIB, quotaBytes: 50 * GIB }),
      2 * GIB,
    ],
  ]
  for (const [what, given, availableBytes] of cases)
    it(`is what the tightest limit leaves: ${what}`, () =>
      assert.equal(measureRoom(given).availableBytes, availableBytes))

  it('is told with all figures when it is too little', () => {
    const room = measureRoom(
      facts({
        freeBytes: 3 * GIB,
        totalBytes: 100 * GIB,
        quotaBytes: 50 * GIB,
        usedBytes: 49 * GIB,
      }),
    )
    checkRoomFor(room, GIB, 'The upload')
    assert.throws(
      () => checkRoomFor(room, GIB + 1, 'The upload'),
      (err) =>
        err instanceof StoreFullError &&
        ['about 1.1 GB', 'has 1.1 GB left', '3.2 GB are free', '52.6 GB are used', '53.7 GB'].every(
          (figure) => err.message.includes(figure),
        ),
    )
  })

  it('is none', () => {
    const room = measureRoom(facts({ quotaBytes: GIB, usedBytes: 2 * GIB }))
    assert.throws(
      () => checkRoomFor(room, 1, 'The upload'),
      /^StoreFullError: The upload needs room, but the chunk store has none left: 2\.1 GB are used /,
    )
  })

  it('is kept for what is being written, however many come at once', async () => {
    await using test = await openTestStore()
    const chunks = Array.from({ length: 12 }, () => randomBytes(5000))
    const stored = chunks.map((content) => gzipSync(content))
    const quotaBytes = 3 * Math.max(...stored.map(({ length }) => length))
    const { store } = limitStore(test.store, async () => measureRoom(facts({ quotaBytes })))
    const puts = chunks.map((content, index) => store.putIfAbsent(sha256(content), stored[index]!))
    const outcomes = await Promise.allSettled(puts)
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    assert.equal(refused.length, 9)
    for (const { reason } of refused)
      assert.match(String(reason), /has none left: 15\.\d kB are used of its quota of 15\.\d kB/)
  })

  it('is asked of the disk alone where bytes take the place of more of them', async () => {
    await using test = await openTestStore()
    const content = Buffer.alloc(MIB, 'to be replaced, ')
    const [large, small] = [gzipSync(content, { level: 1 }), gzipSync(content, { level: 9 })]
    await test.store.putIfAbsent(sha256(content), large)
    const replace = async (given: Partial<RoomFacts>) => {
      const room = measureRoom(facts({ quotaBytes: 1000, usedBytes: 1000, ...given }))
      assert.equal(hasRoomToReplace(room, small.length), (room.freeBytes ?? Infinity) > 1000)
      return await limitStore(test.store, async () => room).store.replace(sha256(content), small)
    }
    const full = { freeBytes: 1000, totalBytes: GIB }
    await assert.rejects(
      replace(full),
      /has none left: 1\.0 kB are free on its disk, .* in reserve; /,
    )
    assert.equal(await replace({ freeBytes: GIB, totalBytes: GIB }), true)
    assert.equal(await replace({}), true)
  })
})

function facts(given: Partial<RoomFacts>): RoomFacts {
  const unknown = { freeBytes: undefined, totalBytes: undefined, quotaBytes: undefined }
  return { ...unknown, usedBytes: 0, ...given }
}

describe('what was put and is in no count', () => {
  async function limited() {
    const test = await openTestStore()
    const limit = limitStore(test.store, async () => measureRoom(facts({})))
    const put = async () => {
      const content = randomBytes(5000)
      const stored = gzipSync(content)
      await limit.store.putIfAbsent(sha256(content), stored)
      return stored.length
    }
    return { ...test, ...limit, put }
  }

  it('is not what a sweep took, whatever was counted then', async () => {
    await using room = await limited()
    const counted = await room.put()
    room.committed()
    // A refused upload, so soon that nobody asked with the count of the first.
    await room.put()
    const swept = room.sweeping()
    swept()
    assert.equal(room.putSince(counted), 0)
    const since = await room.put()
    assert.equal(room.putSince(counted), since)
  })

  it('is what was put after a sweep began', async () => {
    await using room = await limited()
    const swept = room.sweeping()
    const since = await room.put()
    swept()
    assert.equal(room.putSince(0), since)
    assert.equal(room.putSince(1), since)
  })
})

describe('a store with a quota', () => {
  type Refusal = { error: { code: string; message: string } }

  it('refuses uploads before they begin or where they cross it, and captures', async () => {
    await using app = await openTestApp({ env: { STAMPEDE_STORE_QUOTA: '20Mi' } })
    const packed = gzipSync(randomBytes(21 * MIB), { level: 1 })
    const tooLarge = await app.call<Refusal>('PUT', '/api/images/large', packed)
    assert.deepEqual([tooLarge.status, tooLarge.body.error.code], [507, 'store-full'])
    assert.match(tooLarge.body.error.message, /quota of 21\.0 MB \(STAMPEDE_STORE_QUOTA\)/)

    assert.equal((await app.call('PUT', '/api/images/small', randomBytes(8 * MIB))).status, 201)
    // Of a raw disk nobody knows before how much of it is zeros.
    const crossing = await app.call<Refusal>('PUT', '/api/images/raw', randomBytes(16 * MIB))
    assert.deepEqual([crossing.status, crossing.body.error.code], [507, 'store-full'])
    assert.equal((await app.call('GET', '/api/images/raw')).status, 404)
    await app.call('POST', '/api/store/sweep')
    const { body: store } = await app.call<StoreStatus>('GET', '/api/store')
    assert.equal(store.quotaBytes, 20 * MIB)
    assert.ok(store.availableBytes! > 11 * MIB && store.availableBytes! < 12 * MIB)

    const mac = '52:54:00:00:22:01'
    await app.call('PUT', `/api/machines/${mac}`, { name: 'node', locked: false })
    const capture = { mac, workflow: 'capture', image: 'captured' }
    const refused = await app.call<Refusal>('POST', '/api/runs', capture)
    assert.deepEqual([refused.status, refused.body.error.code], [507, 'store-full'])
    assert.match(refused.body.error.message, /^A capture needs about/)
    const deploy = { mac, workflow: 'deploy', image: 'small' }
    assert.equal((await app.call('POST', '/api/runs', deploy)).status, 201)
  })

  it('refuses the chunk of a capture that crosses it', async () => {
    await using app = await openTestApp({ env: { STAMPEDE_STORE_QUOTA: '2Mi' } })
    const put = async () => {
      const content = randomBytes(MIB - 4096)
      return await app.call<Refusal>('PUT', `/chunks/${sha256(content)}`, gzipSync(content))
    }
    assert.equal((await put()).status, 201)
    assert.equal((await put()).status, 201)
    const refused = await put()
    assert.deepEqual([refused.status, refused.body?.error.code], [507, 'store-full'])
  })

  it('has room again soon for others, when whoever it refused goes away', async (context) => {
    await using app = await openTestApp({ env: { STAMPEDE_STORE_QUOTA: '2Mi' } })
    const waits = context.mock.method(globalThis, 'setTimeout')
    const passed = () => {
      const calls = waits.mock.calls.filter(({ arguments: [, wait] }) => wait === 90_000)
      return calls.at(-1)!.arguments[0]() as unknown
    }
    const usedBytes = async () => {
      await app.call('POST', '/api/store/sweep')
      return (await app.call<StoreStatus>('GET', '/api/store')).body.unusedBytes
    }
    const put = async () => {
      const content = randomBytes(MIB - 4096)
      return (await app.call('PUT', `/chunks/${sha256(content)}`, gzipSync(content))).status
    }
    assert.deepEqual([await put(), await put(), await put()], [201, 201, 507])
    assert.ok((await usedBytes()) > MIB)
    passed()
    assert.equal(await usedBytes(), 0)
    assert.equal(await put(), 201)
  })
})

describe('a store that is not mounted', () => {
  it('is waited for, and told of once; what room it has nobody knows', async () => {
    const lines: string[] = []
    const said = (text: string) => lines.filter((line) => line.includes(text)).length
    await using app = await openTestApp({ onLog: (line) => void lines.push(line) })
    const content = randomBytes(MIB)
    const put = async () =>
      (await app.call('PUT', `/chunks/${sha256(content)}`, gzipSync(content))).status
    const folder = join(app.dataFolder, 'store')
    await rename(folder, `${folder}.away`)
    for (let tries = 0; tries < 3; tries++) assert.equal(await put(), 503)
    const { status, body } = await app.call<StoreStatus>('GET', '/api/store')
    assert.deepEqual([status, body.freeBytes, body.availableBytes], [200, null, null])
    await rename(`${folder}.away`, folder)
    assert.equal(await put(), 201)
    assert.deepEqual([said('Chunks cannot be'), said('again')], [1, 1])
  })
})
