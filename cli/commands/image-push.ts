import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { IMAGE_NAME_PATTERN } from '#protocol/shapes.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { ApiError, CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { openRemoteChunks } from '../images/chunks.ts'
import { convertQcow2, detectFormat } from '../images/disk-file.ts'
import { pushRaw } from '../images/push-raw.ts'
import { pushUpload } from '../images/push-upload.ts'
import { unreadable } from '../local-file.ts'
import { createProgress, type Progress } from '../text/progress.ts'
import { describeImage } from '../text/image-text.ts'

interface PushOptions {
  name?: string
  description?: string
  sectorSize?: string
  replace?: boolean
  promote?: boolean
  asIs?: boolean
}

export function addPush(images: Command, signal: AbortSignal): void {
  images
    .command('push <file>')
    .summary('Make an image of a disk file')
    .description(
      'Make an image of a disk file: raw, qcow2, gzip, xz, zstd or bzip2. Raw files, and qcow2 where qemu-img is installed, ' +
        'are cut into chunks, of which only those that the server lacks are sent, in parallel. Other files go as they are. ' +
        'After a failure the same command goes on where it stopped.',
    )
    .option('--name <name>', 'of the image, else it is that of the file')
    .option('--description <text>', 'what it is')
    .option('--sector-size <bytes>', '512 or 4096, where its GPT does not tell')
    .option('--replace', 'as the next version of an image of that name, which stands for it then')
    .option('--no-promote', 'as its next version, which the name does not stand for yet')
    .option('--as-is', 'send the file itself; the server decodes it')
    .addHelpText(
      'after',
      examples(
        'stampede images push debian-13.qcow2',
        'stampede images push golden.img --name web-2026-05 --description "nginx, for the web rack"',
        'TMPDIR=/srv/tmp stampede images push big.qcow2 --replace',
      ),
    )
    .action(action<[string], PushOptions>(signal, push))
}

async function push(context: Context, path: string, options: PushOptions): Promise<void> {
  const name = options.name ?? nameOf(path)
  if (!new RegExp(IMAGE_NAME_PATTERN).test(name))
    throw new UsageError(
      `"${name}" is no name of an image; give one of small letters, digits, ".", "_" and "-" with --name`,
    )
  const sectorBytes = sectorSize(options.sectorSize)
  await checkFile(path)
  const api = await context.api()
  if (!options.replace && options.promote !== false) await refuseKnown(api, name)
  const format = await detectFormat(path)
  const image = await (format === 'raw' && !options.asIs
    ? pushChunks(context, api, path, { ...options, name, sectorBytes })
    : pushOther(context, api, path, { ...options, name, sectorBytes, format }))
  context.show(image, describeImage)
}

function nameOf(path: string): string {
  return basename(path)
    .replace(/(\.(img|raw|qcow2|bin))?(\.(gz|xz|zst|bz2))?$/i, '')
    .toLowerCase()
}

function sectorSize(text: string | undefined): 512 | 4096 | undefined {
  if (text === undefined) return undefined
  if (text === '512') return 512
  if (text === '4096') return 4096
  throw new UsageError(`--sector-size is "${text}" but must be 512 or 4096`)
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch((err: unknown) => {
    throw unreadable(path, err)
  })
  if (found.isBlockDevice())
    throw new UsageError(`${path} is a disk, not a file; capture it with stampede-agent instead`)
  if (!found.isFile() || found.size === 0)
    throw new UsageError(`${path} is no file with a disk in it`)
}

/** An image that machines are deployed from is not replaced by a slip of the hand. */
async function refuseKnown(api: ApiClient, name: string): Promise<void> {
  try {
    await api.call<Image>('GET', `/api/images/${name}`)
  } catch (err) {
    if (err instanceof ApiError && err.status === 404) return
    throw err
  }
  throw new CliError(
    EXIT.refused,
    `There is an image "${name}" already; add --replace to put this in its place, --no-promote to put it beside, or --name for another`,
  )
}

interface Target {
  name: string
  description?: string
  sectorBytes: 512 | 4096 | undefined
  promote?: boolean
}

async function pushOther(
  context: Context,
  api: ApiClient,
  path: string,
  target: Target & { format: string; asIs?: boolean },
): Promise<Image> {
  if (target.format === 'qcow2' && !target.asIs) {
    const folder = context.env.TMPDIR || '/var/tmp'
    await using raw = await convertQcow2(path, { folder, signal: context.signal, say: context.say })
    if (raw) return await pushChunks(context, api, raw.path, target, path)
  }
  const { size } = await stat(path)
  const progress = createProgress(`Sending ${basename(path)}`, size)
  try {
    const { name, description, sectorBytes, promote } = target
    const { env, signal } = context
    const wanted = { name, description, sectorBytes, promote }
    return await pushUpload(path, { api, ...wanted, env, progress, signal })
  } finally {
    progress.end()
  }
}

async function pushChunks(
  context: Context,
  api: ApiClient,
  path: string,
  { name, description, sectorBytes, promote }: Target,
  source = path,
): Promise<Image> {
  const { signal } = context
  let shown: Progress | undefined
  const note = (text: string) => (shown ? shown.note(text) : context.say(text))
  try {
    const { image, bytesSent } = await pushRaw(path, {
      api,
      chunks: openRemoteChunks(api, { signal, onRetry: note }),
      name,
      sectorBytes,
      promote,
      source: `upload of ${basename(source)}`,
      progress: (_done, total) => (shown = createProgress(`Sending ${basename(source)}`, total)),
      signal,
    })
    note(
      `${formatBytes(bytesSent)} were sent for ${formatBytes(image.sizeBytes)}; the digest is right`,
    )
    if (description === undefined) return image
    return await api.call<Image>('PATCH', `/api/images/${name}`, { json: { description } })
  } finally {
    shown?.end()
  }
}
