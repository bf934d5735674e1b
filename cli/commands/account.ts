import { hostname } from 'node:os'
import type { Command } from 'commander'
import type { ApiToken, Session } from '#protocol/account.ts'
import { createApiClient, type ApiClient } from '../api-client.ts'
import { configPath, readConfig, writeConfig, type Login } from '../config-file.ts'
import { action, findLogin, parseServer, type Context } from '../context.ts'
import { ApiError, CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { ask, canAsk, readSecretFromInput } from '../prompt.ts'
import { formatFacts } from '../text/table.ts'
import { ago, localTime, printable } from '../text/text.ts'
import { setUp, signIn } from './sign-in.ts'

interface LoginOptions {
  user?: string
  passwordStdin?: boolean
  tokenStdin?: boolean
  days?: string
}

export function addAccount(program: Command, signal: AbortSignal): void {
  program
    .command('login [url]')
    .summary('Sign in at a server')
    .description(
      'Sign in at a server with name and password, or with a token (--token, --token-stdin or STAMPEDE_TOKEN). ' +
        'The password is not kept: an API token is made and stored in $XDG_CONFIG_HOME/stampede/config.json, for you only.',
    )
    .option('-u, --user <name>', 'the name to sign in with, else it is asked for')
    .option('--password-stdin', 'read the password from standard input')
    .option('--token-stdin', 'read a token from standard input')
    .option('--days <number>', 'how long the new token is good', '90')
    .addHelpText(
      'after',
      examples(
        'stampede login http://192.0.2.1:8080',
        'stampede login lab.example:8080 --user maria --password-stdin < password',
        'STAMPEDE_TOKEN=stp_… stampede login http://192.0.2.1:8080',
      ),
    )
    .action(action<[string | undefined], LoginOptions>(signal, login))
  program
    .command('logout')
    .summary('Forget a server and revoke its token')
    .description('Revoke the token that login made, and forget it. --server says where.')
    .addHelpText('after', examples('stampede logout'))
    .action(action<[]>(signal, logout))
  program
    .command('whoami')
    .summary('Who you are, and where')
    .description('Tell the server, the user and the role that commands are done with.')
    .addHelpText('after', examples('stampede whoami', 'stampede whoami --json'))
    .action(action<[]>(signal, whoami))
}

async function login(
  context: Context,
  url: string | undefined,
  options: LoginOptions,
): Promise<void> {
  const { env, signal } = context
  const path = configPath(env)
  const config = await readConfig(path)
  const named = url ?? context.options.server ?? (env.STAMPEDE_SERVER || undefined) ?? config.server
  const server = parseServer(
    url ??
      (canAsk() && named === undefined
        ? await ask('Server: ', { signal, instead: 'name the server' })
        : (named ?? missingServer())),
  )
  warnOfPlainHttp(context, server)
  const token = options.tokenStdin
    ? await readSecretFromInput()
    : (context.options.token ?? (env.STAMPEDE_TOKEN || undefined))
  const entry: Login =
    token === undefined
      ? await loginByPassword(context, server, options)
      : await loginByToken(createApiClient({ server, token, signal }), token)
  const before = config.logins[server]
  await writeConfig(path, { server, logins: { ...config.logins, [server]: entry } })
  if (before?.tokenId !== undefined && before.tokenId !== entry.tokenId)
    await revokeQuietly(server, before, signal)
  context.say(
    `Signed in at ${server} as ${printable(entry.name)}${entry.expiresAt ? `, for ${daysLeft(entry.expiresAt)} days` : ''}`,
  )
}

function missingServer(): never {
  throw new UsageError('Name the server: stampede login http://192.0.2.1:8080')
}

function daysLeft(expiresAt: string): number {
  return Math.round((Date.parse(expiresAt) - Date.now()) / 86_400_000)
}

function warnOfPlainHttp(context: Context, server: string): void {
  const { protocol, hostname: host } = new URL(server)
  if (protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(host))
    context.say(`Note: ${server} is plain HTTP; whoever listens on the way can read what is sent`)
}

/** Checks that the token is one, and learns whose. */
async function loginByToken(api: ApiClient, token: string): Promise<Login> {
  const session = await api.call<Session>('GET', '/api/session')
  return { token, name: session.user.name, expiresAt: session.expiresAt }
}

async function loginByPassword(
  context: Context,
  server: string,
  options: LoginOptions,
): Promise<Login> {
  const { signal } = context
  const days = Number(options.days)
  if (!Number.isInteger(days) || days < 1)
    throw new UsageError(`--days is "${options.days}" but must be a whole number of days`)
  const api = createApiClient({ server, token: undefined, signal })
  const { needsSetup } = await api.call<{ needsSetup: boolean }>('GET', '/api/setup')
  const opened = needsSetup
    ? await setUp(context, api)
    : await signIn(context, api, await readCredentials(context, options))
  const { token, secret } = await opened.post<{ token: ApiToken; secret: string }>('/api/tokens', {
    name: `stampede on ${hostname()}`.slice(0, 64),
    expiresInDays: days,
  })
  await opened.close()
  return { token: secret, tokenId: token.id, name: opened.name, expiresAt: token.expiresAt }
}

async function readCredentials({ signal }: Context, options: LoginOptions) {
  const name =
    options.user ?? (await ask('Name: ', { signal, instead: 'use --user and --password-stdin' }))
  const password = options.passwordStdin
    ? await readSecretFromInput()
    : await ask('Password: ', { signal, hidden: true, instead: 'use --password-stdin' })
  return { name: name.trim(), password }
}

/** A token that nobody holds any more; if it cannot be revoked now, it expires. */
async function revokeQuietly(server: string, login: Login, signal: AbortSignal): Promise<void> {
  const api = createApiClient({ server, token: login.token, signal })
  await api.call('DELETE', `/api/tokens/${login.tokenId}`).catch(() => undefined)
}

async function logout(context: Context): Promise<void> {
  const { env, signal } = context
  const path = configPath(env)
  const config = await readConfig(path)
  const named = context.options.server ?? config.server
  const server = named === undefined ? undefined : parseServer(named)
  const entry = server === undefined ? undefined : config.logins[server]
  if (server === undefined || !entry)
    throw new CliError(EXIT.notFound, `Nobody is signed in${server ? ` at ${server}` : ''}`)
  const { [server]: _forgotten, ...logins } = config.logins
  const next = config.server === server ? Object.keys(logins)[0] : config.server
  if (entry.tokenId !== undefined)
    await createApiClient({ server, token: entry.token, signal })
      .call('DELETE', `/api/tokens/${entry.tokenId}`)
      .catch((err: unknown) => {
        // It was revoked, or has expired: what was wanted.
        if (err instanceof ApiError && [401, 404].includes(err.status)) return
        context.say(
          `The token could not be revoked and is good until ${entry.expiresAt ? localTime(entry.expiresAt) : 'somebody revokes it'}: ${(err as Error).message}`,
        )
      })
  await writeConfig(path, { ...(next !== undefined && { server: next }), logins })
  context.say(`Signed out at ${server}`)
}

async function whoami(context: Context): Promise<void> {
  const api = await context.api()
  const session = await api.call<Session>('GET', '/api/session')
  const { token } = await findLogin(context.options, context.env)
  const { csrfToken: _csrfToken, ...shown } = session
  context.show(shown, () =>
    formatFacts([
      ['Server', api.server],
      ['User', printable(session.user.name)],
      ['Role', session.user.role],
      [
        'By',
        session.via === 'admin-token' ? 'the admin token' : `API token ${token?.slice(0, 7)}…`,
      ],
      ['Expires', session.expiresAt ? ago(session.expiresAt) : 'never'],
    ]),
  )
}
