import type { Command } from 'commander'
import {
  type CreatedImageLink,
  type ImageLink,
  MAX_LINK_HOURS,
} from '#protocol/image/image-link.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import type { Column } from '../text/table.ts'
import { ago, localTime, printable } from '../text/text.ts'
import { imagePath } from './image-versions.ts'

const COLUMNS: Column<ImageLink>[] = [
  { head: 'Id', cell: ({ id }) => id, key: true },
  { head: 'Image', cell: ({ image }) => image, key: true },
  { head: 'Digest', cell: ({ digest }) => digest.slice(0, 12) },
  { head: 'By', cell: ({ createdBy }) => (createdBy === null ? undefined : printable(createdBy)) },
  { head: 'Made', cell: ({ createdAt }) => ago(createdAt) },
  { head: 'Used', cell: ({ lastUsedAt }) => ago(lastUsedAt) },
  { head: 'Ends', cell: ({ expiresAt }) => localTime(expiresAt) },
]

/** Addresses that let anybody read an image for a while. */
export function addLinks(images: Command, signal: AbortSignal): void {
  images
    .command('link <image>')
    .description('A URL that needs no token, for curl and other tools, until it expires')
    .option('--hours <number>', `how long it is good, up to ${MAX_LINK_HOURS}`)
    .option('--format <format>', 'gz, zst, raw or qcow2', 'gz')
    .addHelpText(
      'after',
      examples(
        'curl -f "$(stampede images link debian-13)" | gunzip | dd of=/dev/sda bs=1M',
        'stampede images link debian-13@3 --format qcow2',
      ),
    )
    .action(action<[string], LinkOptions>(signal, link))
  images
    .command('links [image]')
    .description('Which links are still good, who made them and when they were used')
    .addHelpText('after', examples('stampede images links', 'stampede images links debian-13'))
    .action(
      action<[string | undefined]>(signal, async (context, image) => {
        const api = await context.api()
        const links = await api.list<ImageLink>('/api/links', { image })
        context.showList(links, COLUMNS, 'No links')
      }),
    )
  images
    .command('unlink <id...>')
    .description('Revoke links, by their ids; a download that began goes on to its end')
    .addHelpText(
      'after',
      examples(
        'stampede images unlink 019c2f73-77c4-7d15-9b0e-2e6a4f8c1b90',
        "stampede images links debian-13 --json | jq -r '.items[].id' | xargs stampede images unlink",
      ),
    )
    .action(action<[string[]]>(signal, unlink))
}

interface LinkOptions {
  hours?: string
  format: string
}

async function link(context: Context, name: string, { hours, format }: LinkOptions): Promise<void> {
  if (!['gz', 'zst', 'raw', 'qcow2'].includes(format))
    throw new UsageError(`--format is "${format}" but must be gz, zst, raw or qcow2`)
  const api = await context.api()
  const seconds = hours === undefined ? undefined : Math.round(Number(hours) * 3600)
  if (seconds !== undefined && !(seconds > 0 && seconds <= MAX_LINK_HOURS * 3600))
    throw new UsageError(`--hours is "${hours}" but must be a number up to ${MAX_LINK_HOURS}`)
  const made = await api.call<CreatedImageLink>('POST', `${imagePath(name)}/links`, {
    json: { format, ...(seconds !== undefined && { expiresInSeconds: seconds }) },
  })
  context.show(made, ({ url }) => url)
  if (context.isJson) return
  context.say(
    `Good until ${localTime(made.expiresAt)}, for whoever knows it; "stampede images unlink ${made.id}" ends it`,
  )
}

async function unlink(context: Context, ids: string[]): Promise<void> {
  const api = await context.api()
  for (const id of ids) {
    await api.call('DELETE', `/api/links/${encodeURIComponent(id)}`)
    if (!context.isJson) context.print(`Link ${id} opens nothing any more`)
  }
  if (context.isJson) context.show({ revoked: ids }, String)
}
