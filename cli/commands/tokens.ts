import type { Command } from 'commander'
import {
  DEFAULT_TOKEN_DAYS,
  TOKEN_SCOPES,
  type ApiToken,
  type AuditEntry,
} from '#protocol/account.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { collect, examples } from '../help.ts'
import { ago, localTime } from '../text/text.ts'
import { checkRole } from './users.ts'

interface CreateOptions {
  role?: string
  scope?: string[]
  days?: string
  forever?: boolean
}

interface AuditOptions {
  actor?: string
  action?: string
  target?: string
  from?: string
  to?: string
  limit?: string
}

const DEFAULT_AUDIT_ENTRIES = '100'
const DAY_MILLISECONDS = 24 * 3600 * 1000

export function addTokens(program: Command, signal: AbortSignal): void {
  const tokens = program.command('tokens').alias('token').description('API tokens, for programs')
  tokens
    .command('ls')
    .alias('list')
    .description('List tokens: yours, or all for an admin')
    .addHelpText('after', examples('stampede tokens ls'))
    .action(action<[]>(signal, list))
  tokens
    .command('create <name>')
    .description('Make a token. It is shown this once, on standard output')
    .option('--role <role>', 'at most yours, which it has where none is given')
    .option(
      '--scope <scope>',
      `may change only this: ${TOKEN_SCOPES.join(', ')}; may be given again`,
      collect,
    )
    .option('--days <number>', 'how long it is good, else 90; no longer than a token that makes it')
    .option('--forever', 'until it is revoked')
    .addHelpText(
      'after',
      examples(
        'stampede tokens create nightly-capture --scope runs --days 30',
        'TOKEN=$(stampede tokens create ci --role viewer)',
      ),
    )
    .action(action<[string], CreateOptions>(signal, create))
  tokens
    .command('revoke <token...>')
    .alias('rm')
    .description('Revoke tokens, by id or by name')
    .addHelpText('after', examples('stampede tokens revoke nightly-capture'))
    .action(action<[string[]]>(signal, revoke))
  program
    .command('audit')
    .description('Who did what, newest first (admins only)')
    .option('--actor <name>', 'what this one did')
    .option('--action <name>', 'such as run.create')
    .option('--target <id>', 'what was done to this: a MAC, an image, …')
    .option('--from <time>', 'not before, such as 2026-05-01 or 2026-05-01T12:00')
    .option('--to <time>', 'not after')
    .option('-n, --limit <number>', 'at most so many; 0: all', DEFAULT_AUDIT_ENTRIES)
    .addHelpText(
      'after',
      examples(
        'stampede audit --actor maria --from 2026-05-01',
        'stampede audit --action run.create --json',
      ),
    )
    .action(action<[], AuditOptions>(signal, audit))
}

async function list(context: Context): Promise<void> {
  const api = await context.api()
  context.showList(
    await api.list<ApiToken>('/api/tokens'),
    [
      { head: 'Name', cell: ({ name }) => name, key: true },
      { head: 'Id', cell: ({ id }) => id, key: true },
      { head: 'Owner', cell: ({ owner }) => owner ?? undefined },
      { head: 'Role', cell: ({ role }) => role },
      { head: 'Scopes', cell: ({ scopes }) => (scopes === null ? 'all' : scopes.join(',')) },
      {
        head: 'Expires',
        cell: ({ expiresAt, revokedAt }) =>
          revokedAt ? 'revoked' : expiresAt ? ago(expiresAt) : 'never',
      },
      { head: 'Used', cell: ({ lastUsedAt }) => ago(lastUsedAt) },
    ],
    'No tokens',
  )
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const { scope, days, forever } = options
  const unknown = scope?.find((each) => !(TOKEN_SCOPES as readonly string[]).includes(each))
  if (unknown !== undefined)
    throw new UsageError(`--scope is "${unknown}" but must be one of ${TOKEN_SCOPES.join(', ')}`)
  if (days !== undefined && (forever || !/^[1-9]\d{0,4}$/.test(days)))
    throw new UsageError('--days must be a whole number, and not beside --forever')
  const role = checkRole(options.role)
  const json = {
    name,
    ...(role !== undefined && { role }),
    ...(scope && { scopes: scope }),
    ...(days !== undefined && { expiresInDays: Number(days) }),
    ...(forever && { expiresInDays: null }),
  }
  const api = await context.api()
  const made = await api.call<{ token: ApiToken; secret: string }>('POST', '/api/tokens', { json })
  context.show(made, ({ secret }) => secret)
  if (!context.isJson) context.say(`It is not shown again; ${goodFor(made.token, options)}`)
}

/** A token ends with the one that made it, at the latest. */
function goodFor({ expiresAt }: ApiToken, { days, forever }: CreateOptions): string {
  if (expiresAt === null) return 'good until it is revoked'
  const until = `good until ${localTime(expiresAt)}`
  const asked = Number(days ?? DEFAULT_TOKEN_DAYS)
  const isCut = forever || Date.parse(expiresAt) < Date.now() + (asked - 1) * DAY_MILLISECONDS
  return isCut
    ? `${until}, no longer than the token that made it; for more, sign in with "stampede login --days …" before, or make it in the web interface`
    : until
}

async function revoke(context: Context, given: string[]): Promise<void> {
  const api = await context.api()
  const { items } = await api.list<ApiToken>('/api/tokens')
  const known = items.filter(({ revokedAt }) => revokedAt === null)
  const found = given.map((text) => {
    const matching = known.filter(({ id, name }) => id === text || name === text)
    const [only, ...others] = matching
    if (!only) throw new CliError(EXIT.notFound, `There is no token "${text}"`)
    if (others.length > 0)
      throw new UsageError(
        `"${text}" is ${matching.length} tokens: ${matching.map(({ id }) => id).join(', ')}; give an id`,
      )
    return only
  })
  for (const { id } of found) await api.call('DELETE', `/api/tokens/${id}`)
  context.show({ revoked: found.map(({ id }) => id) }, () =>
    found.map(({ name }) => `Token "${name}" opens nothing any more`).join('\n'),
  )
}

async function audit(context: Context, options: AuditOptions): Promise<void> {
  const limit = Number(options.limit)
  if (!Number.isInteger(limit) || limit < 0)
    throw new UsageError(`--limit is "${options.limit}" but must be a whole number`)
  const query = {
    actor: options.actor,
    action: options.action,
    target: options.target,
    from: timeOf('--from', options.from),
    to: timeOf('--to', options.to),
  }
  const api = await context.api()
  context.showList(
    await api.list<AuditEntry>('/api/audit', query, limit || undefined),
    [
      { head: 'Time', cell: ({ at }) => localTime(at), key: true },
      {
        head: 'Who',
        cell: ({ actor }) => (actor.kind === 'user' ? actor.name : `${actor.name} (${actor.kind})`),
      },
      { head: 'What', cell: (entry) => entry.action, key: true },
      { head: 'To', cell: ({ target }) => target?.id },
      { head: 'Status', cell: ({ status }) => status, align: 'right' },
      { head: 'From', cell: ({ address }) => address ?? undefined },
    ],
    'Nothing was done',
  )
}

/** In the reader's own zone unless it names one. */
function timeOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const time = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text)
  if (Number.isNaN(time.getTime()))
    throw new UsageError(`${option} is "${text}" but must be like 2026-05-01 or 2026-05-01T12:00`)
  return time.toISOString()
}
