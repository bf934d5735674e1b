import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Check, Errors } from 'typebox/schema'
import { EXAMPLES } from '#server/api/examples/all.ts'
import {
  operationsOf,
  type Document,
  type Json,
  type Media,
  type PlacedOperation,
} from '#server/api/openapi/document.ts'
import { NAMED_SCHEMAS } from '#server/api/openapi/schemas.ts'
import { readOpenApi } from '#server/openapi-text.ts'

const ROOT = join(import.meta.dirname, '../../../..')
const GENERATOR = join(ROOT, 'web/client-generator')

describe('the OpenAPI text', () => {
  let text: string
  let document: Document
  let operations: PlacedOperation[]
  before(async () => {
    text = await readOpenApi()
    document = JSON.parse(text) as Document
    operations = operationsOf(document)
  })

  /** What is wrong, a line each, over all operations. */
  const problems = (find: (placed: PlacedOperation) => string[]): string[] =>
    operations.flatMap((placed) => find(placed).map((problem) => `${nameOf(placed)}: ${problem}`))

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    const result = await validator.validate(structuredClone(document) as never)
    assert.deepEqual(result.errors, undefined)
    assert.equal(result.valid, true)
    assert.equal(validator.version, '3.1')
  })

  it('says of every operation what it does, under a name and a group of its own', () => {
    assert.ok(operations.length > 70, `${operations.length} operations`)
    const groups = new Set((document as unknown as Json)['tags'] as { name: string }[])
    const known = new Set([...groups].map(({ name }) => name))
    assert.deepEqual(
      problems(({ operation }) => [
        ...(operation.summary ? [] : ['no summary']),
        ...(/^[a-z][a-zA-Z]+$/.test(operation.operationId ?? '') ? [] : ['no proper operationId']),
        ...tagsOf(operation).flatMap((tag) => (known.has(tag) ? [] : [`unknown tag ${tag}`])),
      ]),
      [],
    )
    const ids = operations.map(({ operation }) => operation.operationId)
    assert.equal(new Set(ids).size, ids.length)
  })

  it('says of every operation who may call it', () => {
    const schemes = Object.keys(document.components['securitySchemes'] as Json)
    assert.deepEqual(schemes, ['token', 'session'])
    assert.deepEqual(
      problems(({ operation }) => [
        ...(operation['x-access'] ? [] : ['no access']),
        ...((operation.security?.length === 0) === (operation['x-access'] === 'public')
          ? []
          : ['security and access differ']),
      ]),
      [],
    )
  })

  it('says of every operation how it fails, always in the one shape', () => {
    assert.deepEqual(
      problems(({ path, operation }) => {
        const failures = Object.entries(operation.responses).filter(
          ([status]) => !/^[23]/.test(status),
        )
        const missing = expectedFailures(path, operation).filter(
          (status) => operation.responses[status] === undefined,
        )
        const wrong = failures.filter(([, answer]) => {
          const { content } = resolve(document, answer as Json) as {
            content?: Record<string, Media>
          }
          const schema = content?.['application/json']?.schema
          return !schema || !isError(document, schema)
        })
        return [...missing, ...wrong.map(([status]) => status)].map((status) => `failure ${status}`)
      }),
      [],
    )
  })

  it('has an example of every body and every answer', () => {
    assert.deepEqual(
      problems((placed) =>
        mediaOf(document, placed)
          .filter(({ media }) => !isBinary(media) && media.example === undefined)
          .map(({ where }) => `no example of ${where}`),
      ),
      [],
    )
  })

  it('has examples only that fit their schemas', () => {
    assert.deepEqual(
      problems((placed) =>
        mediaOf(document, placed).flatMap(({ where, media }) => {
          if (media.example === undefined || isBinary(media)) return []
          const schema = resolveAll(document, media.schema ?? {}) as Json
          if (Check(schema, media.example)) return []
          const [, errors] = Errors(schema, media.example)
          return [`${where}: ${JSON.stringify(errors.slice(0, 3))}`]
        }),
      ),
      [],
    )
  })

  it('has no example of what is no operation', () => {
    const names = new Set(operations.map(nameOf))
    assert.deepEqual(
      Object.keys(EXAMPLES).filter((name) => !names.has(name)),
      [],
    )
  })

  it('names its schemas, so that clients get one type for each', () => {
    const unused = Object.keys(NAMED_SCHEMAS).filter(
      (name) => !text.includes(`"#/components/schemas/${name}"`),
    )
    assert.deepEqual(unused, [])
  })

  it('is what the types of the web client were written from', { timeout: 120_000 }, async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-types-'))
    const file = join(folder.path, 'openapi.json')
    await writeFile(file, text)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(GENERATOR, 'main.mjs'), file],
      { maxBuffer: 64 * 1024 * 1024 },
    ).catch((cause: unknown) => {
      throw new Error('The generator failed; "node setup/main.mjs client" installs it', { cause })
    })
    const written = await readFile(join(ROOT, 'web/api/schema.d.ts'), 'utf8')
    assert.ok(stdout === written, 'web/api/schema.d.ts is stale: npm run web:client')
  })
})

function nameOf({ method, path }: PlacedOperation): string {
  return `${method.toUpperCase()} ${path}`
}

function tagsOf(operation: object): string[] {
  return (operation as { tags?: string[] }).tags ?? []
}

function expectedFailures(path: string, operation: PlacedOperation['operation']): string[] {
  return [
    ...(operation.requestBody || operation.parameters ? ['400'] : []),
    ...(operation['x-access'] === 'public' ? [] : ['401', '403']),
    ...(path.includes('{') ? ['404'] : []),
    ...(operation.parameters?.some(({ name }) => name === 'if-match') ? ['412'] : []),
    ...(operation.parameters?.some(({ name }) => name === 'idempotency-key') ? ['409', '422'] : []),
    'default',
  ]
}

/** Every body and answer of an operation. Failures that it shares have their example elsewhere. */
function mediaOf(document: Document, { operation }: PlacedOperation) {
  const bodies = Object.values(operation.requestBody?.content ?? {}).map((media) => ({
    where: 'the body',
    media,
  }))
  const answers = Object.entries(operation.responses).flatMap(([status, answer]) => {
    const { content = {} } = resolve(document, answer as Json) as { content?: Json }
    return Object.values(content).map((media) => ({
      where: `answer ${status}`,
      media: media as Media,
    }))
  })
  return [...bodies, ...answers]
}

function isBinary({ schema }: Media): boolean {
  return schema?.['format'] === 'binary'
}

function isError(document: Document, schema: Json): boolean {
  const resolved = resolveAll(document, schema) as { properties?: { error?: Json } }
  const properties = resolved.properties?.error?.['properties'] as Json | undefined
  return properties?.['code'] !== undefined && properties['message'] !== undefined
}

function resolve(document: Document, value: Json): Json {
  const { $ref } = value as { $ref?: string }
  if ($ref === undefined) return value
  const parts = $ref.split('/').slice(1)
  return parts.reduce<unknown>((part, key) => (part as Json)[key], document) as Json
}

function resolveAll(document: Document, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => resolveAll(document, item))
  if (typeof value !== 'object' || value === null) return value
  const resolved = resolve(document, value as Json)
  return Object.fromEntries(
    Object.entries(resolved).map(([key, part]) => [key, resolveAll(document, part)]),
  )
}
