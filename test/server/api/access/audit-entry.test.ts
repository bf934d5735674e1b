import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { detailsOf, targetsOf } from '#server/api/access/audit-entry.ts'

const A = '52:54:00:00:00:0a'
const B = '52:54:00:00:00:0b'

describe('an entry of the audit log', () => {
  it('keeps nothing secret of what was asked', () => {
    const details = detailsOf({
      name: 'x',
      password: 'p1',
      current: 'p2',
      adminToken: 'p3',
      nested: { apiSecret: 'p4', list: [{ token: 'p5' }], Authorization: 'p6' },
      url: 'https://user:p7@hooks.example/services/p8?key=p9',
      key: 'p10',
    })
    assert.ok(!/p\d/.test(JSON.stringify(details)), JSON.stringify(details))
    assert.partialDeepStrictEqual(details, { name: 'x', url: 'https://hooks.example/…' })
  })

  it('stays small whatever was sent', () => {
    const long = detailsOf({ text: 'x'.repeat(100_000) })
    assert.ok(JSON.stringify(long).length < 300)
    const wide = detailsOf(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i])))
    assert.ok(JSON.stringify(wide).length < 300)
    let deep: unknown = 'end'
    for (let level = 0; level < 1000; level += 1) deep = [deep]
    assert.ok(JSON.stringify(detailsOf({ deep })).length < 300)
    assert.equal(detailsOf(Buffer.from('bytes')), undefined)
  })

  it('names each machine that runs of a plan were for', () => {
    const error = { code: 'machine-locked', message: 'Locked' }
    const answer = { items: [{ id: '1', mac: A }], refused: [{ mac: B, error }], next: null }
    assert.deepEqual(targetsOf({ action: 'run.create', params: {}, body: { plan: 'p' }, answer }), [
      { kind: 'machine', id: A, details: { run: '1' } },
      { kind: 'machine', id: B, status: 409, details: { error } },
    ])
  })

  it('names what a refused call was about', () => {
    const targets = (action: string, params: object, body: unknown = null) =>
      targetsOf({ action, params, body, answer: { error: { code: 'x', message: 'y' } } })
    assert.deepEqual(targets('machine.delete', { mac: '52-54-00-00-00-0A' }), [
      { kind: 'machine', id: A },
    ])
    assert.deepEqual(targets('machine.update-many', {}, { macs: [A, 'nonsense'] }), [
      { kind: 'machine', id: A },
      { kind: 'machine', id: 'nonsense' },
    ])
    assert.deepEqual(targets('image.delete', { name: 'debian' }), [{ kind: 'image', id: 'debian' }])
    assert.deepEqual(targets('image.read-file', { name: 'debian@3' }), [
      { kind: 'image', id: 'debian', details: { version: '3' } },
    ])
    assert.deepEqual(targets('webhook.test', { id: 'w1' }), [{ kind: 'webhook', id: 'w1' }])
    assert.deepEqual(targets('run.create', {}, { mac: B }), [{ kind: 'machine', id: B }])
    assert.deepEqual(targets('session.delete', {}), [])
  })
})
