import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { webAnswer } from '#server/api/system/web-answer.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', userAgent: 'Mozilla/5.0' }

describe('what answers where the API has no route', () => {
  const kindOf = (path: string, headers: Partial<typeof BROWSER> = BROWSER) =>
    webAnswer({ path, accept: headers.accept, userAgent: headers.userAgent }).kind

  it('is the page of the interface, for a browser', () => {
    for (const path of ['/', '/machines', '/machines/52:54:00:12:34:56', '/images/debian-13'])
      assert.equal(kindOf(path), 'page', path)
  })

  it('is that page at the root for whoever takes anything', () => {
    for (const accept of ['*/*', '', undefined])
      assert.equal(kindOf('/', { ...(accept !== undefined && { accept }) }), 'page', accept)
    for (const userAgent of ['BOOTy-client', 'iPXE/1.21.1'])
      assert.equal(kindOf('/', { accept: '*/*', userAgent }), 'none')
  })

  it('is an error for programs, whatever they accept', () => {
    for (const path of ['/api/nothing', '/agent/nothing', '/boot/nothing', '/chunks/x', '/l/x/y'])
      assert.equal(kindOf(path), 'none', path)
  })

  it('is an error for who does not ask for a page', () => {
    assert.equal(kindOf('/machines', { accept: 'application/json' }), 'none')
    assert.equal(kindOf('/machines', {}), 'none')
    assert.equal(kindOf('/', { accept: 'application/json' }), 'none')
  })

  it('is never a page for BOOTy and iPXE, which would take it for their configuration', () => {
    for (const userAgent of ['BOOTy-client', 'iPXE/1.21.1'])
      assert.equal(kindOf('/', { accept: 'text/html', userAgent }), 'none')
  })

  it('is a file only by a plain name', () => {
    assert.equal(kindOf('/assets/index-abc.js'), 'file')
    assert.equal(kindOf('/color-scheme.js'), 'file')
    for (const path of ['/assets/../../server/main.ts', '/assets/%2e%2e/x', '/package.json'])
      assert.notEqual(kindOf(path), 'file', path)
  })
})

describe('web routes', () => {
  let app: TestApp
  before(async () => {
    assert.ok(existsSync('web/dist/index.html'), 'Build it first: npm run web:build')
    app = await openTestApp()
  })
  after(() => app[Symbol.asyncDispose]())

  const get = (path: string, headers: Record<string, string> = { accept: 'text/html' }) =>
    app.call<string>('GET', path, undefined, { token: null, headers })

  it('serve the interface without a session, under a policy without inline scripts', async () => {
    const { status, headers, body } = await get('/machines?state=failed')
    assert.equal(status, 200)
    assert.match(body, /<div id="root">/)
    const policy = headers.get('content-security-policy')!
    assert.match(policy, /script-src 'self';/)
    assert.match(policy, /frame-ancestors 'none'/)
    // Over plain HTTP it would turn every address into one that nobody serves.
    assert.doesNotMatch(policy, /upgrade-insecure-requests/)
    assert.equal(headers.get('strict-transport-security'), null)
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.match(headers.get('cache-control')!, /max-age=0/)
    assert.doesNotMatch(body, /<script>|<script [^>]*>[^<]/)
  })

  it('serve hashed files compressed and for good', async () => {
    const page = await get('/')
    const path = /src="(\/assets\/[^"]+\.js)"/.exec(page.body)![1]!
    for (const encoding of ['br', 'gzip']) {
      const { status, headers } = await get(path, { 'accept-encoding': encoding })
      assert.equal(status, 200)
      assert.equal(headers.get('content-encoding'), encoding)
      assert.match(headers.get('content-type')!, /javascript/)
      assert.match(headers.get('cache-control')!, /max-age=31536000, immutable/)
    }
  })

  it('answer in the one shape of errors elsewhere', async () => {
    for (const path of ['/api/nothing', '/assets/gone-123.js', '/nothing.js']) {
      const { status, body } = await get(path)
      assert.equal(status, 404, path)
      assert.equal((body as unknown as { error: { code: string } }).error.code, 'not-found', path)
    }
  })
})
