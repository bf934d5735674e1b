import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { StoreMigration } from '#protocol/store-migration.ts'
import type { StoreStatus } from '#protocol/store.ts'
import { type ApiClient, withPatience } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { OUTAGE_SECONDS } from '../images/chunks.ts'
import { migrationText, problemsOf, progressText } from '../text/migration-text.ts'

interface MigrateOptions {
  from?: string
  to?: string
  verify?: boolean
  wait: boolean
  status?: boolean
  cancel?: boolean
}

const PATH = '/api/store/migration'
const POLL_MILLISECONDS = 1000
const TELL_MILLISECONDS = 5000

export function addMigrate(store: Command, signal: AbortSignal): void {
  store
    .command('migrate')
    .summary('Copy every chunk to another store')
    .description(
      'Copy every chunk to another store while the server serves, which goes on without this ' +
        'command. Started again it copies only what came since. Then stop the server, let ' +
        '"npm run store -- migrate" on it copy the rest, and start it with STAMPEDE_STORE set to the other store.',
    )
    .option(
      '--to <store>',
      's3://bucket/prefix, with the AWS_* names of the server, or file:/folder',
    )
    .option('--from <store>', 'refuse unless this is the store that the server uses')
    .option('--verify', 'also read back what is there already')
    .option('--no-wait', 'begin, and say how far it is later with --status')
    .option('--status', 'say how far the last one is')
    .option('--cancel', 'give it up; what was copied stays there')
    .addHelpText(
      'after',
      examples(
        'stampede store migrate --from file:/var/lib/stampede/store --to s3://stampede/images',
        'stampede store migrate --status',
      ),
    )
    .action(action<[], MigrateOptions>(signal, migrate))
}

async function migrate(context: Context, options: MigrateOptions): Promise<void> {
  const { to, status, cancel } = options
  if ([to, status, cancel].filter(Boolean).length !== 1)
    throw new UsageError('Say where to with --to, or give --status or --cancel')
  const api = await context.api()
  if (status) return context.show(await api.call<StoreMigration>('GET', PATH), migrationText)
  if (cancel) return context.show(await api.call<StoreMigration>('DELETE', PATH), migrationText)
  if (options.from !== undefined) await checkFrom(api, options.from)
  const json = { to, ...(options.verify && { verify: true }) }
  const begun = await api.call<StoreMigration>('POST', PATH, { json })
  if (!options.wait) return context.show(begun, migrationText)
  const ended = await waitFor(context, api, begun)
  context.show(ended, migrationText)
  if (ended.state !== 'done') throw new CliError(EXIT.failed, 'The copy was given up')
  const problems = problemsOf(ended)
  if (problems.length > 0) throw new CliError(EXIT.failed, problems.join('\n'))
}

async function checkFrom(api: ApiClient, from: string): Promise<void> {
  const { kind, location } = await api.call<StoreStatus>('GET', '/api/store')
  const used = kind === 'folder' ? `file:${location}` : location
  const wanted = from.replace(/^file:\/\/(?=\/)/, 'file:').replace(/\/$/, '')
  if (wanted !== used)
    throw new CliError(
      EXIT.refused,
      `The server's chunks are in ${used}, not in ${from}; between stores that it does not use, "npm run store" copies on the server`,
    )
}

async function waitFor(
  { say, signal }: Context,
  api: ApiClient,
  begun: StoreMigration,
): Promise<StoreMigration> {
  let toldAt = 0
  const onRetry = (err: Error) => say(`${err.message}; trying again`)
  const patience = { signal, outageSeconds: OUTAGE_SECONDS, onRetry }
  const look = () => withPatience(patience, () => api.call<StoreMigration>('GET', PATH))
  for (let current = begun; ; current = await look()) {
    if (current.state === 'done' || current.state === 'cancelled') return current
    if (Date.now() - toldAt >= TELL_MILLISECONDS) {
      toldAt = Date.now()
      say(progressText(current))
    }
    await sleep(POLL_MILLISECONDS, undefined, { signal })
  }
}
