import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { parseImageReference } from '#protocol/image/image-reference.ts'
import {
  versionsText,
  type ImageVersion,
  type KeepReason,
  type Retention,
} from '#protocol/image/image-version.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import type { Column } from '../text/table.ts'
import { ago, paint, plural, printable } from '../text/text.ts'

const COLUMNS: Column<ImageVersion>[] = [
  { head: 'Version', cell: ({ version }) => version, align: 'right', key: true },
  {
    head: 'Stands',
    cell: standing,
    paint: (text) => (text.includes('damaged') ? paint('red', text) : text),
  },
  { head: 'Digest', cell: ({ digest }) => digest.slice(0, 12) },
  { head: 'Disk', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
  {
    head: 'Own',
    cell: ({ uniqueBytes }) => (uniqueBytes === null ? undefined : formatBytes(uniqueBytes)),
    align: 'right',
  },
  { head: 'Made', cell: ({ createdAt }) => ago(createdAt) },
  { head: 'By', cell: ({ createdBy }) => (createdBy === null ? undefined : printable(createdBy)) },
  { head: 'From', cell: ({ info }) => info.source && printable(info.source) },
  { head: 'Used by', cell: usersOf },
]

function standing({ isPromoted, damaged }: ImageVersion): string | undefined {
  const words = [isPromoted && 'promoted', damaged && 'damaged'].filter(Boolean)
  return words.join(', ') || undefined
}

function usersOf({ usedBy }: ImageVersion): string | undefined {
  const { machines, runs, links } = usedBy
  const parts = [
    machines.length > 0 && plural(machines.length, 'machine'),
    runs.length > 0 && plural(runs.length, 'run'),
    links > 0 && plural(links, 'link'),
  ].filter(Boolean)
  return parts.join(', ') || undefined
}

/** An image's history, and what its name stands for. */
export function addVersions(images: Command, signal: AbortSignal): void {
  images
    .command('versions <image>')
    .alias('history')
    .description('What the name stood for: all versions, newest first')
    .addHelpText('after', examples('stampede images versions debian-13'))
    .action(
      action<[string]>(signal, async (context, name) => {
        const items = await versionsOf(await context.api(), name)
        context.showList({ items }, COLUMNS, 'It has no versions')
      }),
    )
  images
    .command('promote <version>')
    .summary('Make the name stand for a version')
    .description(
      'Make the name stand for a version, an older or a newer one. Machines that have the name follow at their next deploy.',
    )
    .addHelpText(
      'after',
      examples('stampede images promote debian-13@3', 'stampede images promote debian-13@latest'),
    )
    .action(action<[string]>(signal, promote))
  images
    .command('rollback <image>')
    .description('Make the name stand for what it stood for before')
    .option('--to <number>', 'which version that is')
    .addHelpText('after', examples('stampede images rollback debian-13'))
    .action(action<[string], { to?: string }>(signal, rollback))
  images
    .command('retention <image>')
    .summary('Which versions are kept')
    .description(
      'Show or say which versions are kept: those among the newest, and those young enough. What is promoted, assigned by ' +
        'its number, linked or used by an active run always stays.',
    )
    .option('--keep <number>', 'the newest so many')
    .option('--days <number>', 'those younger than so many days')
    .option('--all', 'every one, for ever')
    .option('--default', "by the server's settings")
    .option('--dry-run', 'only tell what would go')
    .addHelpText(
      'after',
      examples(
        'stampede images retention debian-13',
        'stampede images retention debian-13 --keep 3 --dry-run',
        'stampede images retention debian-13 --keep 3 --days 90',
        'stampede images retention debian-13 --default --dry-run',
      ),
    )
    .action(action<[string], RetentionOptions>(signal, retention))
}

export function imagePath(name: string): string {
  return `/api/images/${encodeURIComponent(name)}`
}

async function versionsOf(api: ApiClient, name: string): Promise<ImageVersion[]> {
  return (await api.list<ImageVersion>(`${imagePath(name)}/versions`)).items
}

async function promote(context: Context, reference: string): Promise<void> {
  const { name, version } = parsed(reference)
  if (version === undefined)
    throw new UsageError(`Say which version, such as ${name}@3 or ${name}@latest`)
  const api = await context.api()
  const number =
    version === 'latest' ? (await api.call<Image>('GET', imagePath(reference))).version : version
  await promoteTo(context, api, name, number)
}

async function promoteTo(
  context: Context,
  api: ApiClient,
  name: string,
  version: number,
): Promise<void> {
  const image = await api.call<Image>('POST', `${imagePath(name)}/versions/${version}/promote`)
  context.show(
    image,
    () =>
      `"${name}" stands for version ${image.version} now (${image.digest.slice(0, 12)}); machines that have the name follow at their next deploy`,
  )
}

async function rollback(context: Context, name: string, { to }: { to?: string }): Promise<void> {
  const api = await context.api()
  if (to !== undefined) return promoteTo(context, api, name, wholeNumber('--to', to))
  const before = (await versionsOf(api, name))
    .filter(({ isPromoted, promotedAt }) => !isPromoted && promotedAt !== null)
    .toSorted((a, b) => Date.parse(b.promotedAt!) - Date.parse(a.promotedAt!))[0]
  if (!before)
    throw new CliError(
      EXIT.refused,
      `"${name}" has not stood for another version that is still there; name one with --to`,
    )
  await promoteTo(context, api, name, before.version)
}

interface RetentionOptions {
  keep?: string
  days?: string
  all?: boolean
  default?: boolean
  dryRun?: boolean
}

async function retention(
  context: Context,
  name: string,
  { keep, days, all, default: isDefault, dryRun }: RetentionOptions,
): Promise<void> {
  const keepVersions = keep === undefined ? undefined : wholeNumber('--keep', keep)
  const keepDays = days === undefined ? undefined : wholeNumber('--days', days)
  const isRule = keepVersions !== undefined || keepDays !== undefined
  if (Number(isRule) + Number(!!all) + Number(!!isDefault) > 1)
    throw new UsageError('--all and --default stand alone')
  const api = await context.api()
  const path = `${imagePath(name)}/retention`
  const isSaid = isRule || !!all || !!isDefault
  if (dryRun && !isSaid)
    throw new UsageError(
      '--dry-run needs --keep, --days, --all or --default, whose outcome is to be told',
    )
  if (dryRun || !isSaid) {
    const query = { keepVersions, keepDays, keepAll: all, useDefault: isDefault }
    const shown = await api.call<Retention>('GET', path, { query })
    return context.show(shown, () => describe(shown, 'Would go'))
  }
  const json = isDefault
    ? { useDefault: true }
    : { keepVersions: keepVersions ?? null, keepDays: keepDays ?? null }
  const saved = await api.call<Retention>('PUT', path, { json })
  context.show(saved, () => describe(saved, 'Removed'))
}

const REASONS: Record<KeepReason, string> = {
  promoted: 'promoted',
  assigned: 'assigned',
  running: 'an active run',
  linked: 'a link',
  rule: 'by this rule',
}

function describe({ keepVersions, keepDays, isDefault, removed, kept }: Retention, word: string) {
  const rule = [
    keepVersions !== null && `the newest ${keepVersions}`,
    keepDays !== null && `those younger than ${plural(keepDays, 'day')}`,
  ].filter(Boolean)
  return [
    `Kept: ${rule.join(' and ') || 'every version'}${isDefault ? " (the server's settings)" : ''}`,
    ...kept.map(
      ({ version, reasons }) =>
        `  version ${version}: ${reasons.map((reason) => REASONS[reason]).join(', ')}`,
    ),
    `${word}: ${removed.length > 0 ? versionsText(removed) : 'none'}`,
  ].join('\n')
}

function parsed(reference: string) {
  try {
    return parseImageReference(reference)
  } catch (err) {
    throw new UsageError((err as Error).message)
  }
}

function wholeNumber(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new UsageError(`${option} is "${text}" but must be a whole number from 1 on`)
}
