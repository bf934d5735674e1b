import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Check } from 'typebox/value'
import { ErrorSchema } from '#protocol/shapes.ts'
import { operationsOf, type Document, type PlacedOperation } from '#server/api/openapi/document.ts'
import { openTestApp, type Answer, type TestApp } from '#test/support/test-app.ts'

/** Well-formed names of what is not there. */
const NOBODY: Record<string, string> = {
  mac: '52:54:00:99:99:99',
  id: '00000000-0000-4000-8000-000000000000',
  delivery: '00000000-0000-4000-8000-000000000000',
  name: 'nowhere',
  sha256: 'f'.repeat(64),
  digest: 'f'.repeat(64),
  token: 'x'.repeat(43),
  file: 'nowhere.img.gz',
  script: '52-54-00-99-99-99.ipxe',
  version: '7',
}
/** Without it these calls make no sense. */
const QUERIES: Record<string, string> = {
  '/api/images/{name}/files': '?path=/etc/fstab',
  '/api/images/{name}/tree': '?path=/etc',
}
/** More than any JSON body may be. */
const HUGE = JSON.stringify({ name: 'x'.repeat(5 * 1024 * 1024) })
/** A number in place of something else in whatever body this is taken for. */
const WRONG = JSON.stringify({ macs: 1, name: 1, url: 1, address: 1, bootModes: 1 })
const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const json = { 'content-type': 'application/json' }

/** What was called, what came, and what should have. */
interface Case {
  what: string
  placed: PlacedOperation
  body?: string
  headers?: Record<string, string>
  token?: string | null
  path?: string
  statuses: number[]
}

describe('a wrong call of any route', () => {
  let app: TestApp
  let operations: PlacedOperation[]
  before(async () => {
    app = await openTestApp()
    operations = operationsOf(app.http.swagger() as unknown as Document).filter(
      ({ method }) => method !== 'head',
    )
  })
  after(() => app[Symbol.asyncDispose]())

  const pathOf = ({ path }: PlacedOperation) =>
    path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(NOBODY[name] ?? name))
  const takesJson = ({ operation }: PlacedOperation) =>
    operation.requestBody?.content['application/json'] !== undefined
  const takesAgents = ({ operation }: PlacedOperation) => operation['x-access'] === 'agent'

  async function checkAll(cases: Case[]): Promise<void> {
    assert.ok(cases.length > 0)
    const wrong: string[] = []
    for (const { what, placed, body, headers = {}, token, path, statuses } of cases) {
      const method = placed.method.toUpperCase()
      const options = { headers, ...(token !== undefined && { token }) }
      const answer = await app.call(method, path ?? pathOf(placed), body, options)
      const problem = problemOf(answer, statuses)
      if (problem) wrong.push(`${method} ${placed.path}, ${what}: ${problem}`)
    }
    assert.deepEqual(wrong, [])
  }

  function problemOf({ status, headers, body }: Answer, statuses: number[]): string | undefined {
    if (!statuses.includes(status)) return `${status} ${JSON.stringify(body).slice(0, 200)}`
    if (!headers.get('content-type')?.startsWith('application/json')) return 'no JSON'
    if (!Check(ErrorSchema, body)) return `not the shape: ${JSON.stringify(body)}`
    const { code, message, ...more } = (body as { error: Record<string, string> }).error
    if (!/^[a-z][a-z0-9-]+$/.test(code!)) return `code "${code}"`
    if (!/^\S.*[^.\s]$/s.test(message!) || message!.length < 10) return `message "${message}"`
    if (/pattern|schema|constant|allowed values|propert/.test(message!))
      return `words of a validator for people: ${message}`
    if (Object.keys(more).some((key) => key !== 'details'))
      return `more: ${Object.keys(more).join()}`
    return undefined
  }

  it('without a token is answered in the one shape', () =>
    checkAll(
      operations
        .filter(({ operation }) => operation['x-access'] !== 'public')
        .map((placed) => ({ what: 'no token', placed, token: null, statuses: [401] })),
    ))

  it('with a token of nobody, too', () =>
    checkAll(
      operations
        .filter(({ operation }) => operation['x-access'] !== 'public')
        .map((placed) => ({ what: 'wrong token', placed, token: 'stp_wrong', statuses: [401] })),
    ))

  it('with a body that is wrong, too', () =>
    checkAll(
      operations.filter(takesJson).flatMap((placed) => {
        const ofAgent = takesAgents(placed) ? [403] : []
        const one = (what: string, body: string, status: number, headers = json): Case => ({
          what,
          placed,
          body,
          headers,
          statuses: [status, ...ofAgent],
        })
        return [
          one('no JSON', '{"name": ', 400),
          one('an array', '[]', 400),
          one('numbers where there are none', WRONG, 400),
          one('a form', 'a=b', 415, { 'content-type': 'application/x-www-form-urlencoded' }),
          one('much too much', HUGE, 413),
        ]
      }),
    ))

  it('with a body that is too large: it says what to do', async () => {
    const { status, body } = await app.call('PUT', '/api/machines/52:54:00:00:00:01', HUGE, {
      headers: json,
    })
    const message = 'The body is larger than this call takes; send less at once'
    assert.deepEqual([status, body], [413, { error: { code: 'body-too-large', message } }])
  })

  it('with a query that is wrong, too', () => {
    const limited = operations.filter(({ operation }) =>
      operation.parameters?.some(({ name }) => name === 'limit'),
    )
    assert.ok(limited.length > 5)
    return checkAll(
      limited.flatMap((placed) =>
        ['limit=0', 'limit=x', 'limit=1000000'].map((query) => ({
          what: query,
          placed,
          path: `${pathOf(placed)}?${query}`,
          statuses: [400],
        })),
      ),
    )
  })

  it('with a NUL in its query or the name of a file, too', () => {
    const NUL = '\u0000'
    const asked = operations.flatMap((placed) =>
      (placed.operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'query' && placed.method === 'get')
        .map(({ name }) => ({
          placed,
          path: `${pathOf(placed)}?${name}=${encodeURIComponent(NUL)}`,
        })),
    )
    const file = operations.find(({ path }) => path === '/images/{file}')!
    assert.ok(asked.length > 20)
    return checkAll(
      [...asked, { placed: file, path: `/images/${encodeURIComponent(NUL)}.img` }].map((one) => ({
        ...one,
        what: one.path,
        statuses: [400],
      })),
    )
  })

  it('of what is not there, too', () =>
    checkAll(
      operations
        .filter((placed) => placed.path.includes('{') && ['get', 'delete'].includes(placed.method))
        // A machine that is not there has a script all the same: it would boot its disk.
        .filter(({ path }) => path !== '/boot/{script}')
        .map((placed) => ({
          what: 'nothing there',
          placed,
          path: pathOf(placed) + (QUERIES[placed.path] ?? ''),
          statuses: [404, 410],
        })),
    ))

  it('of a name that could be none, too', () =>
    checkAll(
      operations
        .filter(({ path }) => path.includes('{'))
        .map((placed) => ({
          what: 'a bad name',
          placed,
          path: placed.path.replace(/\{\w+\}/g, encodeURIComponent('\u0000<b>')),
          ...(takesJson(placed) && { body: '{}', headers: json }),
          statuses: [400, 403, 404],
        })),
    ))

  it('with a method that the path does not have, too', () => {
    const paths = Map.groupBy(operations, ({ path }) => path)
    return checkAll(
      [...paths].flatMap(([, [first, ...more]]) => {
        const taken = [first!, ...more].map(({ method }) => method)
        // What is no address of the API is a page of the web interface.
        const method = METHODS.find((one) => !taken.includes(one) && one !== 'get')
        if (method === undefined) return []
        return [
          { what: 'wrong method', placed: { ...first!, method }, statuses: [400, 404, 405, 415] },
        ]
      }),
    )
  })
})
