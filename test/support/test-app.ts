import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openApp, type App } from '#server/app.ts'
import { readConfig } from '#server/config.ts'
import { openFreshDatabase, putEmbeddedDatabase, type DatabaseKind } from './database.ts'

export const ADMIN_TOKEN = 'admin-token-of-the-tests'

export interface TestAppOptions {
  database?: DatabaseKind
  /** More settings, as in the environment. */
  env?: Record<string, string>
  /** By the real clock, for what a person looks at. */
  realTime?: boolean
  /** Everything that the server logs goes here; by default nowhere. */
  onLog?: (line: string) => void
}

export interface Answer<Body = unknown> {
  status: number
  headers: Headers
  body: Body
}

/** The clock of an app: stands still but for `advance`, and `set`, of which no steady clock knows. */
export interface TestClock {
  now: () => Date
  advance: (seconds: number) => void
  set: (seconds: number) => void
  steady: () => number
}

export interface TestApp extends App {
  clock: TestClock
  dataFolder: string
  /**
   * Calls the server over its real port, as the operator unless `token` says otherwise (null: without
   * one). A body that is no string or bytes goes out as JSON; a JSON answer is parsed.
   */
  call: <Body = unknown>(
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string | null; headers?: Record<string, string> },
  ) => Promise<Answer<Body>>
}

const CALL_TIMEOUT_MILLISECONDS = 240_000

/** The whole server on free ports of the loopback, without DHCP, in a data folder of its own. */
export async function openTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  await using opened = new AsyncDisposableStack()
  const dataFolder = await mkdtemp(join(tmpdir(), 'stampede-app-'))
  opened.defer(() => rm(dataFolder, { recursive: true, force: true }))
  const postgres =
    options.database === 'postgres' && opened.use(await openFreshDatabase('postgres'))
  if (!postgres) await putEmbeddedDatabase(dataFolder)
  const clock = createClock()
  const config = readConfig({
    STAMPEDE_DATA: dataFolder,
    STAMPEDE_HTTP: '127.0.0.1:0',
    STAMPEDE_DHCP: 'off',
    STAMPEDE_ADMIN_TOKEN: ADMIN_TOKEN,
    ...(postgres && postgres.config.kind === 'postgres' && { DATABASE_URL: postgres.config.url }),
    ...options.env,
  })
  const log = pino(
    { level: options.onLog ? 'trace' : 'silent' },
    { write: (line) => options.onLog?.(line) },
  )
  const { now, steady } = clock
  const app = opened.use(await openApp(config, { log, ...(!options.realTime && { now, steady }) }))
  const resources = opened.move()
  return {
    ...app,
    clock,
    dataFolder,
    call: createCall(app.port),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** For a server that was opened in another way. */
export function createCall(port: number): TestApp['call'] {
  return (method, path, body, options) => call(port, method, path, body, options)
}

function createClock(): TestClock {
  let milliseconds = 0
  let startedAt = Date.parse('2026-05-01T12:00:00.000Z')
  return {
    now: () => new Date(startedAt + milliseconds),
    advance: (seconds) => void (milliseconds += seconds * 1000),
    set: (seconds) => void (startedAt += seconds * 1000),
    steady: () => milliseconds,
  }
}

async function call<Body>(
  port: number,
  method: string,
  path: string,
  body: unknown,
  { token = ADMIN_TOKEN, headers = {} }: Parameters<TestApp['call']>[3] = {},
): Promise<Answer<Body>> {
  const isRaw = body === undefined || typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(!isRaw && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && {
      body: isRaw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body),
    }),
    signal: AbortSignal.timeout(CALL_TIMEOUT_MILLISECONDS),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: (isJson && text ? JSON.parse(text) : text) as Body,
  }
}
