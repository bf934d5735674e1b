import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { AuditEntry } from '#protocol/account.ts'
import { addSession, addToken, addUser, PASSWORD } from '#test/support/accounts.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { bootToken, hello, queueRun } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const MACS = ['52:54:00:00:08:01', '52:54:00:00:08:02', '52:54:00:00:08:03'] as const

async function list(app: TestApp, query = ''): Promise<AuditEntry[]> {
  const path = `/api/audit?limit=1000&${query}`
  return (await app.call<{ items: AuditEntry[] }>('GET', path)).body.items
}

async function newest(app: TestApp): Promise<AuditEntry> {
  return (await list(app))[0]!
}

describeOnEveryDatabase('the audit log', (_open, database) => {
  it('says who did what to which machine, and how it ended', async () => {
    await using app = await openTestApp({ database })
    const maria = await addUser(app, 'operator', 'maria')
    const { options } = await addSession(app, maria.id)
    const token = (await addToken(app, { role: 'operator', userId: maria.id, name: 'ci' })).secret
    await app.call('PUT', '/api/machines/52-54-00-00-08-01', { name: 'one' }, options)
    assert.partialDeepStrictEqual(await newest(app), {
      actor: { kind: 'user', name: 'maria' },
      address: '127.0.0.1',
      action: 'machine.replace',
      target: { kind: 'machine', id: MACS[0] },
      status: 200,
      details: { name: 'one' },
    })
    const { id } = await queueRun(app, MACS[0])
    await app.call('POST', `/api/runs/${id}/cancel`, undefined, { token })
    assert.partialDeepStrictEqual(await newest(app), {
      actor: { kind: 'token', name: 'maria/ci' },
      action: 'run.cancel',
      target: { kind: 'machine', id: MACS[0] },
      status: 200,
      details: { run: id },
    })
    await app.call('PUT', `/api/reservations/${MACS[1]}`, { address: '192.0.2.7' })
    assert.partialDeepStrictEqual(await newest(app), {
      actor: { kind: 'admin-token' },
      target: { kind: 'reservation', id: MACS[1] },
    })
  })

  it('keeps refused attempts too, and why', async () => {
    await using app = await openTestApp({ database })
    const viewer = await addUser(app, 'viewer', 'vera')
    const { options } = await addSession(app, viewer.id)
    const path = `/api/machines/${MACS[0]}`
    for (const [call, expected] of [
      [{ token: null }, { actor: { kind: 'anonymous' }, status: 401 }],
      [options, { actor: { kind: 'user', name: 'vera' }, status: 403 }],
      [{}, { actor: { kind: 'admin-token' }, status: 404, details: { refused: 'not-found' } }],
    ] as const) {
      await app.call('DELETE', path, undefined, call)
      const target = { kind: 'machine', id: MACS[0] }
      assert.partialDeepStrictEqual(await newest(app), { ...expected, target })
    }
    assert.equal((await list(app)).length, 3)
    await app.call('GET', path, undefined, { token: null })
    assert.equal((await list(app)).length, 3) // reading changes nothing
  })

  it('has an entry for each machine of a call about many, the refused ones included', async () => {
    await using app = await openTestApp({ database })
    for (const mac of MACS.slice(0, 2)) await app.call('PUT', `/api/machines/${mac}`, {})
    await app.call('PATCH', '/api/machines', { macs: MACS, set: { locked: true } })
    const many = await list(app, 'action=machine.update-many')
    const byMachine = new Map(many.map(({ target, status }) => [target!.id, status]))
    assert.deepEqual([...byMachine.keys()].toSorted(), [...MACS])
    assert.deepEqual(
      MACS.map((mac) => byMachine.get(mac)! < 300),
      [true, true, false],
    )
    await app.call('POST', '/api/machines/delete', { macs: MACS.slice(0, 2) })
    const gone = await list(app, 'action=machine.delete-many')
    assert.deepEqual(gone.map(({ target }) => target!.id).toSorted(), MACS.slice(0, 2))
  })

  it('an agent that makes an image is named by its machine', async () => {
    await using app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    await queueRun(app, MACS[0], { workflow: 'capture', image: 'golden' })
    const token = (await hello(app, MACS[0], await bootToken(app, MACS[0]))).body.sessionToken
    await app.call('PUT', '/api/images/golden/manifest', '{}', { token })
    assert.partialDeepStrictEqual(await newest(app), {
      actor: { kind: 'agent', name: MACS[0] },
      action: 'image.commit',
      target: { kind: 'image', id: 'golden' },
    })
  })

  it('a machine whose image was renamed or deleted is named too', async () => {
    await using app = await openTestApp({ database })
    await app.call('PUT', '/api/images/golden', new Uint8Array(512))
    await app.call('PUT', `/api/machines/${MACS[0]}`, { image: 'golden' })
    await app.call('PATCH', '/api/images/golden', { name: 'silver' })
    await app.call('DELETE', '/api/images/silver?unassign=true')
    const entries = await list(app, `target=${MACS[0]}`)
    assert.partialDeepStrictEqual(entries, [
      { action: 'image.delete', status: 204, details: { image: null } },
      { action: 'image.update', status: 200, details: { name: 'silver', image: 'silver' } },
      { action: 'machine.replace' },
    ])
    assert.equal((await list(app, 'target=golden&action=image.update')).length, 1)
    assert.equal((await list(app, 'target=silver&action=image.delete')).length, 1)
  })

  it('knows where somebody came from who did not wait for the answer', async () => {
    await using app = await openTestApp({ database })
    const body = JSON.stringify({ name: 'ghost', role: 'viewer', password: PASSWORD })
    const caller = connect(app.port, '127.0.0.1')
    caller.write(
      `POST /api/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await once(app.http.server, 'request')
    caller.resetAndDestroy()
    const deadline = Date.now() + 60_000
    for (;;) {
      const [entry] = await list(app, 'action=user.create')
      if (entry) {
        assert.equal(entry.address, '127.0.0.1')
        break
      }
      assert.ok(Date.now() < deadline, 'There is no entry')
      await sleep(20)
    }
  })

  it('is searched by actor, action, target and time, page by page', async () => {
    await using app = await openTestApp({ database })
    const maria = await addUser(app, 'operator', 'maria')
    const { secret } = await addToken(app, { role: 'operator', userId: maria.id, name: 'ci' })
    const { options } = await addSession(app, maria.id)
    await app.call('PUT', `/api/machines/${MACS[0]}`, {}, options)
    await app.call('PUT', `/api/machines/${MACS[1]}`, {}, { token: secret })
    app.clock.advance(3600)
    const noon = app.clock.now().toISOString()
    await app.call('PUT', `/api/machines/${MACS[2]}`, {})
    const targets = async (query: string) =>
      (await list(app, query)).map(({ target }) => target?.id)
    assert.deepEqual(await targets('actor=maria'), [MACS[1], MACS[0]])
    assert.deepEqual(await targets('actor=mari_'), [])
    assert.deepEqual(await targets('action=machine'), MACS.toReversed())
    assert.deepEqual(await targets('action=machine.replace&target=525400000801'), [MACS[0]])
    assert.deepEqual(await targets(`from=${noon}`), [MACS[2]])
    assert.deepEqual(await targets(`to=${noon}`), [MACS[1], MACS[0]])
    assert.equal((await app.call('GET', '/api/audit?from=yesterday')).status, 400)
    type Page = { items: AuditEntry[]; next: string | null }
    const first = (await app.call<Page>('GET', '/api/audit?limit=2')).body
    const rest = (await app.call<Page>('GET', `/api/audit?after=${first.next}`)).body
    const ids = [...first.items, ...rest.items].map(({ id }) => id)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => b - a),
    )
    assert.deepEqual([ids.length, rest.next], [3, null])
  })

  it('is only ever added to', async () => {
    await using app = await openTestApp({ database })
    const { db } = app.database
    await app.call('PUT', `/api/machines/${MACS[0]}`, {})
    for (const statement of [
      sql`update audit_entries set actor_name = 'nobody'`,
      sql`delete from audit_entries`,
      sql`truncate audit_entries`,
    ])
      await assert.rejects(
        async () => db.execute(statement),
        (err: Error) => String(err.cause).includes('append-only'),
      )
    assert.equal((await list(app)).length, 1)
  })

  it('nobody fills it by being refused, and others are still in it', async () => {
    await using app = await openTestApp({ database })
    for (let call = 0; call < 80; call += 1)
      await app.call('DELETE', `/api/machines/${MACS[0]}`, undefined, { token: null })
    await app.call('PUT', `/api/machines/${MACS[1]}`, {})
    const entries = await list(app)
    assert.equal(entries.filter(({ actor }) => actor.kind === 'anonymous').length, 60)
    assert.equal(entries[0]!.actor.kind, 'admin-token')
  })
})
