import type { Command } from 'commander'
import { createApiClient, type ApiClient } from './api-client.ts'
import { configPath, readConfig } from './config-file.ts'
import { CliError, EXIT, UsageError } from './errors.ts'
import { formatTable, type Column } from './text/table.ts'
import { chooseColours } from './text/text.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  server?: string
  token?: string
  json?: boolean
  color?: boolean
}

/** What a command works with. */
export interface Context {
  readonly options: GlobalOptions
  readonly env: Record<string, string | undefined>
  readonly signal: AbortSignal
  readonly isJson: boolean
  /** Standard output: the answer, nothing else. */
  readonly print: (text: string) => void
  /** Standard error: what goes on meanwhile. */
  readonly say: (text: string) => void
  /** The answer as JSON if that is wanted, else as `text` tells it. */
  show<Value>(value: Value, text: (value: Value) => string): void
  showList<Row>(list: { items: Row[] }, columns: readonly Column<Row>[], none: string): void
  /** Throws CliError if no server is known or nobody is signed in there. */
  readonly api: () => Promise<ApiClient>
}

export function createContext(options: GlobalOptions, signal: AbortSignal): Context {
  const { env } = process
  chooseColours(options.color !== false, env)
  const isJson = options.json === true
  const print = (text: string) => void process.stdout.write(`${text}\n`)
  const showJson = (value: unknown) => print(JSON.stringify(value, undefined, 2))
  let api: Promise<ApiClient> | undefined
  return {
    options,
    env,
    signal,
    isJson,
    print,
    say: (text) => void process.stderr.write(`${text}\n`),
    show(value, text) {
      if (isJson) return showJson(value)
      const told = text(value)
      if (told !== '') print(told)
    },
    showList(list, columns, none) {
      if (isJson) return showJson(list)
      if (list.items.length === 0) return void process.stderr.write(`${none}\n`)
      const width = process.stdout.isTTY ? process.stdout.columns : undefined
      print(formatTable(list.items, columns, width))
    },
    api: () => (api ??= openApi(options, env, signal)),
  }
}

async function openApi(
  options: GlobalOptions,
  env: Context['env'],
  signal: AbortSignal,
): Promise<ApiClient> {
  const { server, token } = await findLogin(options, env)
  if (server === undefined)
    throw new CliError(
      EXIT.auth,
      'No server is known; run "stampede login http://…:8080", or set STAMPEDE_SERVER and STAMPEDE_TOKEN',
    )
  if (token === undefined)
    throw new CliError(
      EXIT.auth,
      `Nobody is signed in at ${server}; run "stampede login ${server}", or set STAMPEDE_TOKEN`,
    )
  return createApiClient({ server, token, signal })
}

/** Flags win over the environment, which wins over what `login` stored. */
export async function findLogin(
  options: GlobalOptions,
  env: Context['env'],
): Promise<{ server: string | undefined; token: string | undefined }> {
  const named = options.server ?? (env.STAMPEDE_SERVER || undefined)
  const token = options.token ?? (env.STAMPEDE_TOKEN || undefined)
  // With both given, a damaged or foreign file of logins does not matter.
  if (named !== undefined && token !== undefined) return { server: parseServer(named), token }
  const config = await readConfig(configPath(env))
  const server = named === undefined ? config.server : parseServer(named)
  return { server, token: token ?? (server && config.logins[server]?.token) }
}

/** The origin of a server: `http://192.0.2.1:8080`. */
export function parseServer(text: string): string {
  const address = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname + url.search !== '/')
    throw new UsageError(`"${text}" is no address of a server such as http://192.0.2.1:8080`)
  if (url.username || url.password)
    throw new UsageError('Names and passwords do not belong into the address of a server')
  return url.origin
}

export type Handler<Args extends unknown[], Options> = (
  context: Context,
  ...rest: [...Args, Options]
) => Promise<void>

/** Makes a handler an action of commander, which appends its options and itself to the arguments. */
export function action<Args extends unknown[] = [], Options = GlobalOptions>(
  signal: AbortSignal,
  handler: Handler<Args, Options>,
) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.pop() as Command
    given.pop()
    const options = command.optsWithGlobals<GlobalOptions & Options>()
    await handler(createContext(options, signal), ...(given as Args), options)
  }
}
