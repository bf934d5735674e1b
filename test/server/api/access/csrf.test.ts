import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { checkSameOrigin } from '#server/api/access/csrf.ts'
import { addSession, addUser, PASSWORD, type SignedIn } from '#test/support/accounts.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

describe('pages of other sites', () => {
  let app: TestApp
  let session: SignedIn

  before(async () => {
    app = await openTestApp()
    session = await addSession(app, (await addUser(app, 'admin')).id)
  })
  after(() => app[Symbol.asyncDispose]())

  /** As a browser sends it, which fetch would not: Host, Origin and Sec-Fetch-Site are its own. */
  function send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body = '',
  ): Promise<{ status: number; text: string }> {
    const cookie = `stampede_session=${session.cookie}`
    return new Promise((resolve, reject) => {
      const sent = request(
        { port: app.port, host: '127.0.0.1', method, path, headers: { cookie, ...headers } },
        (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (part: string) => (text += part))
          answer.on('end', () => resolve({ status: answer.statusCode!, text }))
        },
      )
      sent.on('error', reject).setTimeout(30_000, () => sent.destroy(new Error('No answer')))
      sent.end(body)
    })
  }

  function change(headers: Record<string, string>) {
    const type = { 'content-type': 'application/json' }
    return send('PUT', '/api/machines/52-54-00-00-00-01', { ...type, ...headers }, '{"name":"a"}')
  }

  it('our own page may change something, by whatever name and port it reached us', async () => {
    const csrf = { 'x-csrf-token': session.csrfToken }
    for (const [host, origin] of [
      [`127.0.0.1:${app.port}`, `http://127.0.0.1:${app.port}`],
      ['192.0.2.1:8080', 'http://192.0.2.1:8080'],
      ['stampede.lab', 'http://stampede.lab'],
      ['stampede.lab:80', 'http://stampede.lab'],
      ['Stampede.Lab', 'https://stampede.lab'], // a proxy ended TLS
      ['[2001:db8::1]:8080', 'http://[2001:db8::1]:8080'],
    ] as const)
      assert.equal((await change({ ...csrf, host, origin })).status, 200, origin)
    const proxied = { host: '127.0.0.1:8080', 'x-forwarded-host': 'lab.example' }
    assert.equal((await change({ ...csrf, ...proxied, origin: 'https://lab.example' })).status, 200)
    const rewritten = { host: 'backend', origin: 'https://lab.example' }
    const fetched = { ...csrf, ...rewritten, 'sec-fetch-site': 'same-origin' }
    assert.equal((await change(fetched)).status, 200)
    assert.equal((await change(csrf)).status, 200) // no browser
  })

  it('a call without the token, or with another, is refused', async () => {
    for (const token of [undefined, '', 'x', session.csrfToken.slice(1), `${session.csrfToken}x`]) {
      const { status, text } = await change(token === undefined ? {} : { 'x-csrf-token': token })
      assert.equal(status, 403, token)
      assert.match(text, /"csrf"/)
    }
  })

  it('a call from elsewhere is refused, also with the token', async () => {
    const host = '192.0.2.1:8080'
    const csrf = { 'x-csrf-token': session.csrfToken, host }
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'http://192.0.2.1:3000' }, // the same site to a cookie, but not to us
      { origin: 'http://192.0.2.1' },
      { origin: 'null' },
      { origin: '' },
      { origin: 'http://192.0.2.1:8080.evil.example' },
      { 'sec-fetch-site': 'same-site', origin: 'http://192.0.2.1:8080' },
      { 'sec-fetch-site': 'cross-site', origin: 'http://192.0.2.1:8080' },
    ] as Record<string, string>[]) {
      const { status, text } = await change({ ...csrf, ...headers })
      assert.equal(status, 403, JSON.stringify(headers))
      assert.match(text, /"csrf"/)
    }
  })

  it('neither forms nor uploads slip through', async () => {
    const origin = 'http://evil.example'
    for (const [method, path, type] of [
      ['POST', '/api/images/stolen', 'multipart/form-data; boundary=x'],
      ['POST', '/api/images/stolen', 'text/plain'],
      ['PUT', '/api/images/stolen', 'application/octet-stream'],
      ['PATCH', '/api/uploads/01890a5d-ac96-774b-bcce-b302099a8057', 'application/octet-stream'],
      ['POST', '/api/machines/delete', 'application/x-www-form-urlencoded'],
      ['DELETE', '/api/machines/52-54-00-00-00-01', 'text/plain'],
    ] as const) {
      const body = method === 'DELETE' ? '' : 'macs=x'
      const forged = await send(method, path, { 'content-type': type, origin }, body)
      assert.equal(forged.status, 403, `${method} ${path}`)
      assert.match(forged.text, /"csrf"/)
      const bare = await send(method, path, { 'content-type': type }, body)
      assert.equal(bare.status, 403, `${method} ${path}`)
      assert.match(bare.text, /"csrf"/)
    }
  })

  it('nobody is signed in, or set up, by a page of another site', async () => {
    for (const path of ['/api/session', '/api/setup'])
      for (const type of ['application/json', 'text/plain']) {
        const headers = { origin: 'http://evil.example', 'content-type': type }
        const body = JSON.stringify({ name: 'eve', password: PASSWORD, adminToken: 'x' })
        const { status, text } = await send('POST', path, headers, body)
        assert.equal(status, 403, path)
        assert.match(text, /"csrf"/)
      }
  })

  it('a token in the header needs none of that: no page can send one', async () => {
    const headers = { origin: 'http://elsewhere.example' }
    const answer = await app.call('PUT', '/api/machines/52-54-00-00-00-01', {}, { headers })
    assert.equal(answer.status, 200)
  })

  it('a header Authorization that holds no token is no way around that', async () => {
    for (const authorization of [
      'Basic eDp5',
      'Bearer',
      'Bearer  ',
      'Digest x',
      '',
      'Bearer a b',
    ]) {
      const { status, text } = await change({ authorization })
      assert.equal(status, 403, authorization)
      assert.match(text, /"csrf"/)
      const origin = 'http://evil.example'
      const type = { 'content-type': 'application/json' }
      const body = JSON.stringify({ name: 'eve', password: PASSWORD })
      const login = await send('POST', '/api/session', { ...type, authorization, origin }, body)
      assert.equal(login.status, 403, authorization)
    }
  })

  it('a cookie beside a wrong token is worth nothing', async () => {
    const { status } = await send('GET', '/api/machines', { authorization: 'Bearer stp_wrong' })
    assert.equal(status, 401)
    assert.equal((await send('GET', '/api/machines', {})).status, 200)
  })

  it('reading needs no token, and answers say that nobody may guess their type', async () => {
    const answer = await app.call('GET', '/api/machines', undefined, session.options)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(answer.headers.get('cache-control'), 'private, no-cache')
  })

  it('a port that goes without saying is the same with and without', () => {
    checkSameOrigin({ host: 'lab.example:443', origin: 'https://lab.example' })
    assert.throws(() => checkSameOrigin({ host: 'lab.example:443', origin: 'http://lab.example' }))
  })
})
