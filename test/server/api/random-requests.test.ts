import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { assertGivenBack, memoryInUse } from '#test/support/memory-in-use.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

/** Requests in all, and at once. */
const REQUESTS = 10_000
const BATCH = 25
const RAW_CONNECTIONS = 200
const SEED = 20_260_501
/** Of the second half. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']
const WORDS = [
  'api machines runs images leases reservations agent hello chunks boot files kernel l links',
  'manifest by-digest missing cancel reports log result events metrics healthz docs openapi.json',
  'booty 52:54:00:12:34:56 525400123456 52-54-00-12-34-56.ipxe 52-54-00-12-34-56.bty debian',
  `01890a5d-ac96-774b-bcce-b302099a8057 debian.img.gz .. %00 %2e%2e %ff * ${'a'.repeat(5000)}`,
].flatMap((line) => line.split(' '))
/** Routes that do something, with what they do it to. */
const ROUTES = [
  '/api/machines/52:54:00:12:34:56 /api/machines?limit=3&after=525400123456 /api/runs',
  '/api/runs?mac=525400123456&state=queued /api/runs/01890a5d-ac96-774b-bcce-b302099a8057/cancel',
  '/api/images/debian /api/images/debian/links /api/images/debian/manifest /agent/hello',
  `/api/reservations/525400123456 /chunks/${'a'.repeat(64)} /chunks/missing /boot/525400123456.ipxe`,
  `/images/debian.img.gz /images/by-digest/${'a'.repeat(64)} /boot/files/ipxe.efi /l/x/debian.img.gz`,
].flatMap((line) => line.split(' '))
const KEYS = ['mac', 'workflow', 'image', 'name', 'disk', 'network', 'tags', 'address', 'hostname']
const MORE_KEYS = ['bootToken', 'inventory', 'attempt', 'sequence', 'lines', 'state', '__proto__']

const segment = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...WORDS) }, fc.string())
const path = fc
  .tuple(fc.array(segment, { maxLength: 5 }), fc.option(fc.string({ maxLength: 30 })))
  .map(([segments, query]) => `/${segments.join('/')}${query === null ? '' : `?${query}`}`)
const target = fc.oneof(path, fc.constantFrom(...ROUTES))
const value = fc.oneof(
  fc.constantFrom('deploy', '52:54:00:12:34:56', '10.0.0.1/24'),
  fc.jsonValue(),
)
const body = fc.oneof(
  fc.constant(undefined),
  fc.string({ unit: 'binary' }),
  fc.jsonValue().map((json) => JSON.stringify(json)),
  fc
    .dictionary(fc.constantFrom(...KEYS, ...MORE_KEYS), value)
    .map((object) => JSON.stringify(object)),
  fc.constant('{"a":'.repeat(20_000)),
  fc.constant(`{"name":"\\u0000\\ud800"}`),
)
const contentType = fc.constantFrom(
  'application/json',
  'text/plain',
  'application/octet-stream',
  'multipart/form-data; boundary=x',
  'multipart/form-data',
  '\u00e9',
)
const request = fc.record({
  method: fc.constantFrom(...METHODS),
  path: target,
  body,
  contentType,
  token: fc.constantFrom(ADMIN_TOKEN, 'wrong', undefined),
})
type RandomRequest = typeof request extends fc.Arbitrary<infer One> ? One : never

describe('the API under random requests', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())

  async function send({
    method,
    path: url,
    body: payload,
    contentType: type,
    token,
  }: RandomRequest) {
    const hasBody = method !== 'GET' && method !== 'HEAD' && payload !== undefined
    const target = encodeURI(url.toWellFormed()).replaceAll('%25', '%').replaceAll('#', '%23')
    const options = {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(hasBody && { 'content-type': type }),
      },
      ...(hasBody && { body: payload }),
      signal: AbortSignal.timeout(30_000),
    }
    const response = await fetch(`http://127.0.0.1:${app.port}${target}`, options)
    // The stream of events never ends by itself.
    if (response.headers.get('content-type') === 'text/event-stream') await response.body?.cancel()
    else await response.arrayBuffer()
    return response.status
  }

  it(`answers each of ${REQUESTS}, none with a fault of its own, and is as before`, async () => {
    const requests = fc.sample(request, { numRuns: REQUESTS, seed: SEED })
    const statuses = new Map<number, number>()
    let bytesBefore = 0
    for (let start = 0; start < requests.length; start += BATCH) {
      const batch = requests.slice(start, start + BATCH)
      const answers = await Promise.all(batch.map(send))
      answers.forEach((status, index) => {
        assert.ok(status < 500, `${status} for ${JSON.stringify(batch[index])?.slice(0, 500)}`)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      })
      if (start === REQUESTS / 2) bytesBefore = await memoryInUse()
    }
    for (const status of [200, 400, 401, 404])
      assert.ok((statuses.get(status) ?? 0) > 10, `${status}: ${JSON.stringify([...statuses])}`)
    await assertGivenBack(bytesBefore, MAX_GROWTH_BYTES)
    assert.equal((await app.call('GET', '/healthz')).status, 200)
  })

  it('survives what is no HTTP', async () => {
    const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 400 }), {
      numRuns: RAW_CONNECTIONS,
      seed: SEED,
    })
    for (const [index, text] of texts.entries()) {
      const socket = connect(app.port, '127.0.0.1')
      socket.on('error', () => {}) // it may well be cut
      await once(socket, 'connect')
      const start =
        index % 2 ? 'POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n' : ''
      socket.write(start + text)
      await sleep(1)
      socket.destroy()
    }
    assert.equal((await app.call('GET', '/healthz')).status, 200)
  })
})
