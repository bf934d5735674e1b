import type { Command } from 'commander'
import {
  WEBHOOK_EVENTS,
  type CreatedWebhook,
  type Webhook,
  type WebhookDelivery,
  type WebhookPatch,
} from '#protocol/webhook.ts'
import { action, type Context } from '../context.ts'
import { confirmTyped } from '../confirm.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { collect, examples } from '../help.ts'
import { ago, printable } from '../text/text.ts'

interface HookOptions {
  event?: string[]
  url?: string
  enable?: boolean
  disable?: boolean
}

export function addWebhooks(program: Command, signal: AbortSignal): void {
  const hooks = program
    .command('webhooks')
    .alias('webhook')
    .description('Where events are posted to (admins only)')
  hooks
    .command('ls')
    .alias('list')
    .description('List webhooks')
    .addHelpText('after', examples('stampede webhooks ls'))
    .action(action<[]>(signal, list))
  hooks
    .command('create <url>')
    .description('Post events to a URL. The key that signs them is shown this once')
    .option('--event <kind>', `${WEBHOOK_EVENTS.join(', ')}; may be given again; else all`, collect)
    .addHelpText(
      'after',
      examples('stampede webhooks create https://ci.example.com/hook --event run'),
    )
    .action(action<[string], HookOptions>(signal, create))
  hooks
    .command('set <id>')
    .description('Change a webhook')
    .option('--url <url>', 'post there')
    .option('--event <kind>', 'only these; may be given again', collect)
    .option('--enable', 'post again')
    .option('--disable', 'post no more')
    .addHelpText('after', examples('stampede webhooks set 0197… --disable'))
    .action(action<[string], HookOptions>(signal, set))
  hooks
    .command('test <id>')
    .description('Send a test and tell what was answered')
    .addHelpText('after', examples('stampede webhooks test 0197…'))
    .action(action<[string]>(signal, test))
  hooks
    .command('deliveries <id>')
    .description('What was sent, and what was answered')
    .addHelpText('after', examples('stampede webhooks deliveries 0197…'))
    .action(action<[string]>(signal, deliveries))
  hooks
    .command('retry <id> <delivery>')
    .description('Send a delivery again')
    .addHelpText('after', examples('stampede webhooks retry 0197… 0198…'))
    .action(action<[string, string]>(signal, retry))
  hooks
    .command('rm <id>')
    .alias('delete')
    .description('Delete a webhook and its deliveries')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('stampede webhooks rm 0197…'))
    .action(action<[string], { yes?: boolean }>(signal, remove))
}

function pathOf(id: string): string {
  return `/api/webhooks/${encodeURIComponent(id)}`
}

function checkEvents(events: string[] | undefined): WebhookPatch['events'] {
  const unknown = events?.find((each) => !(WEBHOOK_EVENTS as readonly string[]).includes(each))
  if (unknown !== undefined)
    throw new UsageError(`--event is "${unknown}" but must be one of ${WEBHOOK_EVENTS.join(', ')}`)
  return events as WebhookPatch['events']
}

async function list(context: Context): Promise<void> {
  const api = await context.api()
  context.showList(
    await api.list<Webhook>('/api/webhooks'),
    [
      { head: 'Id', cell: ({ id }) => id, key: true },
      { head: 'URL', cell: ({ url }) => url },
      { head: 'Events', cell: ({ events }) => events.join(',') || 'all' },
      {
        head: 'Enabled',
        cell: ({ enabled, disabledReason }) =>
          enabled ? 'yes' : `no${disabledReason ? `: ${disabledReason}` : ''}`,
      },
      { head: 'Created', cell: ({ createdAt }) => ago(createdAt) },
    ],
    'No webhooks',
  )
}

async function create(context: Context, url: string, { event }: HookOptions): Promise<void> {
  const events = checkEvents(event)
  const api = await context.api()
  const json = { url, ...(events && { events }) }
  const made = await api.call<CreatedWebhook>('POST', '/api/webhooks', { json })
  context.show(made, ({ secret }) => secret)
  if (!context.isJson) context.say(`Webhook ${made.id} is made; its key is not shown again`)
}

async function set(context: Context, id: string, options: HookOptions): Promise<void> {
  const { url, event, enable, disable } = options
  if (enable && disable) throw new UsageError('Either --enable or --disable, not both')
  const events = checkEvents(event)
  const json: WebhookPatch = {
    ...(url !== undefined && { url }),
    ...(events && { events }),
    ...((enable || disable) && { enabled: enable === true }),
  }
  if (Object.keys(json).length === 0)
    throw new UsageError('Nothing to change: give --url, --event, --enable or --disable')
  const api = await context.api()
  const changed = await api.call<Webhook>('PATCH', pathOf(id), { json })
  context.show(
    changed,
    () => `Webhook ${id} ${changed.enabled ? 'posts' : 'does not post'} to ${changed.url}`,
  )
}

async function test(context: Context, id: string): Promise<void> {
  const api = await context.api()
  const delivery = await api.call<WebhookDelivery>('POST', `${pathOf(id)}/test`)
  context.show(delivery, ({ status, answer }) =>
    `${status ?? 'No answer'} ${printable(answer ?? '')}`.trim(),
  )
  if (delivery.state !== 'delivered')
    throw new CliError(EXIT.failed, delivery.error ?? 'The test was not delivered')
}

async function deliveries(context: Context, id: string): Promise<void> {
  const api = await context.api()
  context.showList(
    await api.list<WebhookDelivery>(`${pathOf(id)}/deliveries`),
    [
      { head: 'Id', cell: (delivery) => delivery.id, key: true },
      { head: 'Type', cell: ({ type }) => type },
      { head: 'State', cell: ({ state }) => state },
      { head: 'Tries', cell: ({ attempts }) => attempts, align: 'right' },
      { head: 'Answer', cell: ({ status, error }) => status ?? error ?? undefined },
      { head: 'Next try', cell: ({ nextAttemptAt }) => ago(nextAttemptAt) },
      { head: 'Created', cell: ({ createdAt }) => ago(createdAt) },
    ],
    'Nothing was sent yet',
  )
}

async function retry(context: Context, id: string, delivery: string): Promise<void> {
  const api = await context.api()
  const path = `${pathOf(id)}/deliveries/${encodeURIComponent(delivery)}/retry`
  context.show(
    await api.call<WebhookDelivery>('POST', path),
    () => `Delivery ${delivery} goes out again`,
  )
}

async function remove(context: Context, id: string, { yes }: { yes?: boolean }): Promise<void> {
  const api = await context.api()
  const { url } = await api.call<Webhook>('GET', pathOf(id))
  if (!yes) await confirmTyped(context, `No events will be posted to ${url} any more.`, 'delete')
  await api.call('DELETE', pathOf(id))
  context.show({ deleted: id }, () => `Webhook ${id} is deleted`)
}
