import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImagePull } from '#protocol/image/image-pull.ts'
import { withPatience, type ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { collect, examples } from '../help.ts'
import { OUTAGE_SECONDS } from '../images/chunks.ts'
import { createProgress, type Progress } from '../text/progress.ts'
import type { Column } from '../text/table.ts'
import { ago, printable } from '../text/text.ts'
import { describeImage } from '../text/image-text.ts'
import { imagePath } from './image-versions.ts'

interface ImportOptions {
  sha256?: string
  header?: string[]
  description?: string
  sectorSize?: string
  promote?: boolean
  wait?: boolean
}

const POLL_MILLISECONDS = 1000

const COLUMNS: Column<ImagePull>[] = [
  { head: 'Import', cell: ({ id }) => id, key: true },
  { head: 'Image', cell: ({ image, version }) => (version ? `${image}@${version}` : image) },
  { head: 'State', cell: ({ state }) => state },
  { head: 'Came', cell: cameOf, align: 'right' },
  { head: 'From', cell: ({ url }) => printable(url) },
  { head: 'Begun', cell: ({ createdAt }) => ago(createdAt) },
  { head: 'Error', cell: ({ error }) => (error ? printable(error.message) : undefined) },
]

function cameOf({ bytesDone, bytesTotal }: ImagePull): string {
  const total = bytesTotal === null ? '' : ` of ${formatBytes(bytesTotal)}`
  return `${formatBytes(bytesDone)}${total}`
}

/** Images that the server fetches by itself. */
export function addImport(images: Command, signal: AbortSignal): void {
  images
    .command('import <image> <url>')
    .summary('Have the server fetch an image from a URL')
    .description(
      'Have the server fetch an image from a URL, and make a version of it: raw, qcow2, gzip, xz, zstd or bzip2. ' +
        'Whoever stops waiting leaves the server at it; "images imports" tells how far it is.',
    )
    .option('--sha256 <digest>', 'of the file; nothing is made of another')
    .option(
      '--header <line>',
      'to be sent along, such as "Authorization: Bearer …"; may be given again',
      collect,
    )
    .option('--description <text>', 'what it is')
    .option('--sector-size <bytes>', '512 or 4096, where its GPT does not tell')
    .option('--no-promote', 'the name goes on standing for what it stands for')
    .option('--no-wait', 'only begin it')
    .addHelpText(
      'after',
      examples(
        'stampede images import debian-13 https://mirror.example/debian-13.qcow2 --sha256 2c26…',
        'stampede images import debian-13 http://192.0.2.5/new.img.gz --no-promote',
      ),
    )
    .action(action<[string, string], ImportOptions>(signal, begin))
  images
    .command('imports')
    .description('Images that the server fetches, and of late fetched')
    .addHelpText('after', examples('stampede images imports'))
    .action(
      action<[]>(signal, async (context) => {
        const api = await context.api()
        context.showList(await api.list<ImagePull>('/api/pulls'), COLUMNS, 'Nothing was imported')
      }),
    )
  images
    .command('cancel-import <import>')
    .description('Give up fetching an image; nothing of it stays')
    .addHelpText(
      'after',
      examples('stampede images cancel-import 019c2f71-3a52-7b90-8d44-0c9d8e7f6a51'),
    )
    .action(
      action<[string]>(signal, async (context, id) => {
        const api = await context.api()
        await api.call('DELETE', `/api/pulls/${encodeURIComponent(id)}`)
        context.show({ cancelled: id }, () => 'It is cancelled')
      }),
    )
}

async function begin(
  context: Context,
  name: string,
  url: string,
  options: ImportOptions,
): Promise<void> {
  const { sha256, description, sectorSize, promote, wait } = options
  if (sectorSize !== undefined && !['512', '4096'].includes(sectorSize))
    throw new UsageError(`--sector-size is "${sectorSize}" but must be 512 or 4096`)
  const api = await context.api()
  const json = {
    url,
    sha256: sha256?.toLowerCase(),
    description,
    ...(options.header && { headers: Object.fromEntries(options.header.map(headerOf)) }),
    ...(sectorSize !== undefined && { sectorSize: Number(sectorSize) }),
    ...(promote === false && { promote }),
  }
  const pull = await api.call<ImagePull>('POST', `${imagePath(name)}/pull`, { json })
  if (wait === false) return context.show(pull, ({ id }) => id)
  const ended = await watch(context, api, pull)
  if (ended.state !== 'done')
    throw new CliError(EXIT.failed, ended.error?.message ?? 'The import was cancelled')
  const image = await api.call<Image>('GET', imagePath(`${name}@${ended.version}`))
  context.show(image, describeImage)
}

function headerOf(line: string): [string, string] {
  const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(line) ?? []
  if (name === undefined)
    throw new UsageError(`--header is "${line}" but must be such as "Authorization: Bearer …"`)
  return [name, value!]
}

async function watch(context: Context, api: ApiClient, begun: ImagePull): Promise<ImagePull> {
  const { signal } = context
  let progress: Progress | undefined
  const onRetry = (err: Error) => progress?.note(`${err.message}; trying again`)
  const patience = { signal, outageSeconds: OUTAGE_SECONDS, onRetry }
  try {
    for (let pull = begun; ; await sleep(POLL_MILLISECONDS, undefined, { signal })) {
      pull = await withPatience(patience, () =>
        api.call<ImagePull>('GET', `/api/pulls/${begun.id}`),
      )
      if (pull.state !== 'running') return pull
      if (pull.bytesTotal !== null) progress ??= createProgress('Importing', pull.bytesTotal)
      progress?.update(pull.bytesDone)
    }
  } finally {
    progress?.end()
  }
}
