import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { CreatedImageLink, ImageLink } from '#protocol/image/image-link.ts'
import { addToken, addUser } from '#test/support/accounts.ts'
import { MIB } from '#test/support/disk-content.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type List = { items: ImageLink[]; next: string | null }

describeOnEveryDatabase('links to images', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database })
  })
  after(() => app[Symbol.asyncDispose]())

  const disk = (seed: number) => Buffer.alloc(MIB, `content ${seed}`)
  const put = async (name: string, seed: number) => {
    assert.equal((await app.call('PUT', `/api/images/${name}`, disk(seed))).status, 201)
  }
  const link = async (name: string, body: object = {}, token?: string) => {
    const made = await app.call<CreatedImageLink>('POST', `/api/images/${name}/links`, body, {
      ...(token !== undefined && { token }),
    })
    assert.equal(made.status, 201)
    return made.body
  }
  const list = async (query = '') => (await app.call<List>('GET', `/api/links${query}`)).body
  const ids = async (query?: string) => (await list(query)).items.map(({ id }) => id)
  const open = async ({ url }: CreatedImageLink, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${app.port}${new URL(url).pathname}`, { method })
    await response.arrayBuffer()
    return response.status
  }

  it('are listed without their addresses, with who made them and when they were used', async () => {
    await put('listed', 1)
    const { id: userId } = await addUser(app, 'operator', 'maria')
    const { secret } = await addToken(app, { userId, role: 'operator' })
    const { url, ...made } = await link('listed', { expiresInSeconds: 600 }, secret)
    assert.equal(made.createdBy, 'maria')
    assert.deepEqual((await list('?image=listed')).items, [made])
    assert.equal(made.lastUsedAt, null)

    assert.equal(await open({ url, ...made }, 'HEAD'), 200)
    assert.equal((await list('?image=listed')).items[0]!.lastUsedAt, null, 'HEAD reads nothing')
    const times: (string | null)[] = []
    for (const seconds of [0, 30, 31]) {
      app.clock.advance(seconds)
      assert.equal(await open({ url, ...made }), 200)
      times.push((await list('?image=listed')).items[0]!.lastUsedAt)
    }
    const since = times.map((time) => Date.parse(time!) - Date.parse(made.createdAt))
    assert.deepEqual(since, [0, 0, 61_000])

    app.clock.advance(600)
    assert.deepEqual(await ids('?image=listed'), [])
  })

  it('are listed by what they open, page after page, newest first', async () => {
    await put('first', 2)
    await put('first', 3)
    await put('second', 4)
    const old = await link('first@1')
    const present = await link('first')
    const other = await link('second')
    assert.deepEqual(await ids('?image=first'), [present.id, old.id])
    assert.deepEqual(await ids('?image=first@1'), [old.id])
    assert.deepEqual(await ids('?image=first@latest'), [present.id])
    assert.deepEqual(await ids('?image=first@9'), [])
    assert.deepEqual(await ids('?image=nothing'), [])
    const page = await list('?limit=2')
    assert.deepEqual(
      [page.items.map(({ id }) => id), page.next],
      [[other.id, present.id], present.id],
    )
    assert.deepEqual(await ids(`?limit=2&after=${page.next}`), [old.id])

    // Its address has the name that it was made with, and goes on to open what it opened.
    await app.call('PATCH', '/api/images/second', { name: 'renamed' })
    assert.deepEqual(await ids('?image=renamed'), [other.id])
    await put('second', 10)
    assert.deepEqual(await ids('?image=second'), [], 'what has the name now is another image')
    assert.equal(await open(other), 200)
  })

  it('open nothing once they are revoked', async () => {
    await put('revoked', 5)
    const [one, two] = [await link('revoked'), await link('revoked')]
    assert.equal((await app.call('DELETE', `/api/links/${one.id}`)).status, 204)
    assert.deepEqual([await open(one), await open(two)], [404, 200])
    assert.deepEqual(await ids('?image=revoked'), [two.id])
    assert.equal((await app.call('DELETE', `/api/links/${one.id}`)).status, 404)
    const { body } = await app.call<{ items: { target: object; details: object }[] }>(
      'GET',
      '/api/audit?action=image.unlink&limit=2',
    )
    const { target, details } = body.items[1]!
    assert.deepEqual([target, details], [{ kind: 'image', id: 'revoked' }, { link: one.id }])
  })

  it('end with what they open', async () => {
    await put('ending', 6)
    await put('ending', 7)
    await put('same', 7)
    const [old, present] = [await link('ending@1'), await link('ending')]
    assert.equal((await app.call('DELETE', '/api/images/ending/versions/1')).status, 204)
    assert.deepEqual([await open(old), await open(present)], [404, 200])
    assert.equal((await app.call('DELETE', '/api/images/ending')).status, 204)
    assert.equal(await open(present), 200, 'another image has the same content')
    assert.deepEqual(await ids('?image=same'), [present.id])
    assert.equal((await app.call('DELETE', '/api/images/same')).status, 204)
    assert.deepEqual([await open(present), await ids('?image=ending')], [404, []])
  })

  /** What is changed in links meanwhile has not been committed yet. */
  const lingerAfter = async (what: 'insert' | 'delete') => {
    const { db } = app.database
    await db.execute(sql`create or replace function linger() returns trigger as
      $$ begin perform pg_sleep(0.5); return null; end $$ language plpgsql`)
    await db.execute(sql`create trigger lingering after ${sql.raw(what)} on links
      execute function linger()`)
    return {
      [Symbol.asyncDispose]: async () => void (await db.execute('drop trigger lingering on links')),
    }
  }
  const remove = (name: string) => app.call('DELETE', `/api/images/${name}`)
  const isListed = async (name: string) => (await list()).items.some(({ image }) => image === name)

  it('end with what is deleted while they are made', async () => {
    await put('going', 11)
    await using _ = await lingerAfter('insert')
    const made = app.call('POST', '/api/images/going/links', {})
    await setTimeout(100)
    assert.equal((await remove('going')).status, 204)
    assert.ok([201, 404].includes((await made).status))
    assert.equal(await isListed('going'), false)
  })

  it('end with the last of two images of one content, also if both are deleted at once', async () => {
    await put('one', 12)
    await put('other', 12)
    await link('one')
    await using _ = await lingerAfter('delete')
    await Promise.all([remove('one'), remove('other')])
    assert.equal(await isListed('one'), false)
  })

  it("do not show what a run's BOOTy was given, which ends with the run", async () => {
    await put('booted', 8)
    const mac = '52:54:00:00:07:20'
    await queueRun(app, mac, { workflow: 'deploy', image: 'booted', disk: { path: '/dev/sda' } })
    const config = await fetch(`http://127.0.0.1:${app.port}/52-54-00-00-07-20.bty`, {
      headers: { 'user-agent': 'BOOTy-client' },
    })
    assert.equal(config.status, 200)
    assert.deepEqual(await ids('?image=booted'), [])
    const { body } = await app.call<{ items: { usedBy: { links: number; runs: string[] } }[] }>(
      'GET',
      '/api/images/booted/versions',
    )
    const { links, runs } = body.items[0]!.usedBy
    assert.deepEqual([links, runs.length], [0, 1])
  })

  it('open the image, too, where their use cannot be noted', async () => {
    await put('unnoted', 9)
    const made = await link('unnoted')
    const { db } = app.database
    await db.execute(sql`create function refuse() returns trigger as
      $$ begin raise exception 'no room'; end $$ language plpgsql`)
    await db.execute(sql`create trigger refused before update on links execute function refuse()`)
    assert.equal(await open(made), 200)
    assert.equal((await list('?image=unnoted')).items[0]!.lastUsedAt, null)
    await db.execute(sql`drop trigger refused on links`)
  })
})
