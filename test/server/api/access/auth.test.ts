import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

interface Operation {
  security?: unknown
  requestBody?: { content: object }
}
type OpenApi = { paths: Record<string, Record<string, Operation>> }

/** OpenAPI 3.1, section 4.8.10: an empty array removes what the whole text asks for. */
function isOpen({ security }: Operation): boolean {
  return Array.isArray(security) && security.length === 0
}

/** What anybody may ask: whoever boots has no token, and BOOTy and links bring theirs in the path. */
const PUBLIC: Record<string, string[]> = {
  '/api/setup': ['get', 'post'],
  '/api/session': ['post'],
  '/api/receipt-key': ['get'],
  '/healthz': ['get'],
  '/metrics': ['get'],
  '/agent/hello': ['post'],
  '/boot/{script}': ['get'],
  '/boot/kernel': ['get'],
  '/boot/initrd': ['get'],
  '/boot/files/{name}': ['get'],
  '/l/{token}/{file}': ['get', 'head', 'post', 'put'],
  '/{file}': ['get'],
}

const VALUES: Record<string, string> = {
  mac: '52:54:00:00:00:01',
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  name: 'debian',
  digest: 'a'.repeat(64),
  sha256: 'a'.repeat(64),
  script: '52-54-00-00-00-01.ipxe',
  file: 'debian.img.gz',
}

describe('tokens', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp()
  })
  after(() => app[Symbol.asyncDispose]())

  it('every route but the public ones refuses who has none, or a wrong one', async () => {
    const { body } = await app.call<OpenApi>('GET', '/api/openapi.json', undefined, { token: null })
    const routes = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
    )
    assert.ok(routes.length > 20, `${routes.length} routes`)
    for (const { method, path } of routes) {
      if (PUBLIC[path]?.includes(method.toLowerCase())) continue
      const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => VALUES[name] ?? 'x')
      for (const token of [null, 'wrong', `${'admin-token-of-the-tests'}x`]) {
        const answer = await app.call(method, url, undefined, { token })
        assert.equal(answer.status, 401, `${method} ${path} with token ${token}`)
        assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
      }
    }
  })

  it('the public routes do no more than they must', async () => {
    const { body } = await app.call<OpenApi>('GET', '/api/openapi.json', undefined, { token: null })
    const found = Object.entries(body.paths).flatMap(([path, methods]) => {
      const open = Object.keys(methods).filter((name) => isOpen(methods[name]!))
      return open.length > 0 ? [[path, open.toSorted()] as const] : []
    })
    assert.deepEqual(Object.fromEntries(found), PUBLIC)
  })

  it('the OpenAPI text says which calls need none, and which take a stream', async () => {
    const { body } = await app.call<OpenApi>('GET', '/api/openapi.json', undefined, { token: null })
    for (const [path, methods] of Object.entries(body.paths))
      for (const [method, operation] of Object.entries(methods))
        assert.equal(isOpen(operation), !!PUBLIC[path]?.includes(method), `${method} ${path}`)
    const { requestBody } = body.paths['/api/images/{name}']!['put']!
    assert.deepEqual(Object.keys(requestBody!.content), [
      'application/octet-stream',
      'multipart/form-data',
    ])
  })

  it('the scheme is read without regard to case', async () => {
    const headers = { authorization: 'bearer admin-token-of-the-tests' }
    const answer = await app.call('GET', '/api/machines', undefined, { token: null, headers })
    assert.equal(answer.status, 200)
  })

  it('a header that is no bearer token is none', async () => {
    for (const authorization of ['Basic YWRtaW46eA==', 'Bearer', 'Bearer a b', '']) {
      const options = { token: null, headers: { authorization } }
      const answer = await app.call('GET', '/api/machines', undefined, options)
      assert.equal(answer.status, 401, authorization)
    }
  })

  it('what does not exist is answered 404 in our shape', async () => {
    for (const path of ['/nothing', '/api/nothing', '/%zz', '/api/machines/x/y/z']) {
      const answer = await app.call<{ error: { code: string; message: string } }>('GET', path)
      assert.ok(answer.status === 404 || answer.status === 400, `${path}: ${answer.status}`)
      assert.equal(typeof answer.body.error.code, 'string')
    }
  })
})
