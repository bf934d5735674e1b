import { access, rename } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/disk-choice.ts'
import type { Image } from '#protocol/image-info.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { openRemoteChunks, type RemoteChunks } from '../images/chunks.ts'
import { download, findExport, verifyGzip } from '../images/pull-gzip.ts'
import { pullRaw } from '../images/pull-raw.ts'
import { createProgress } from '../progress.ts'

interface PullOptions {
  output?: string
  force?: boolean
}

export function addPull(images: Command, signal: AbortSignal): void {
  images
    .command('pull <image>')
    .summary('save an image as a file')
    .description(
      'Save an image as a file: compressed if its name ends with .gz, else raw and sparse. ' +
        'What comes is checked against the digest; after a failure the same command goes on where it stopped.',
    )
    .option('-o, --output <file>', 'else {image}.img.gz')
    .option('-f, --force', 'replace a file that is there')
    .addHelpText(
      'after',
      examples('stampede images pull debian-13', 'stampede images pull debian-13 -o disk.raw'),
    )
    .action(action<[string], PullOptions>(signal, pull))
}

async function pull(context: Context, name: string, options: PullOptions): Promise<void> {
  const { signal } = context
  const output = options.output ?? `${name}.img.gz`
  if (output === '-')
    throw new UsageError(
      'What is not a file cannot be checked: use "stampede images link" and curl',
    )
  if (!options.force && (await exists(output)))
    throw new CliError(EXIT.refused, `${output} is there already; add --force to replace it`)
  const api = await context.api()
  const image = await api.call<Image>('GET', `/api/images/${encodeURIComponent(name)}`)
  const chunks = openRemoteChunks(api, { signal, onRetry: context.say })
  const got = await (output.endsWith('.gz')
    ? pullGzip(context, api, image, output, chunks)
    : pullDisk(context, image, output, chunks))
  context.say(`${output} holds image "${name}"; every byte of it was checked`)
  context.show({ image: name, digest: image.digest, file: output, ...got }, () => output)
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

/** Named after what it is a part of, so that another image is never appended to it. */
function partOf(output: string, version: string): string {
  return `${output}.${version}.part`
}

async function pullDisk(
  { signal, say }: Context,
  image: Image,
  output: string,
  chunks: RemoteChunks,
) {
  const manifest = await chunks.manifest(image.digest)
  const part = partOf(output, image.digest.slice(0, 16))
  if (await exists(part)) say('Going on with what an earlier pull left')
  const progress = createProgress(`Pulling ${image.name}`, image.sizeBytes)
  try {
    const pulled = await pullRaw(part, manifest, { chunks, onProgress: progress.update, signal })
    await rename(part, output)
    progress.note(`${formatBytes(pulled.bytesFetched)} of content were fetched`)
    return pulled
  } finally {
    progress.end()
  }
}

async function pullGzip(
  { signal }: Context,
  api: ApiClient,
  image: Image,
  output: string,
  chunks: RemoteChunks,
) {
  const manifest = await chunks.manifest(image.digest)
  const found = await findExport(api, image.name)
  if (!found.etag.includes(image.digest))
    throw new CliError(EXIT.refused, `Image "${image.name}" was replaced just now; pull it again`)
  const part = partOf(output, found.etag.replace(/[^0-9a-f-]/g, '').replace(/^.{48}/, ''))
  const fetching = createProgress(`Pulling ${basename(output)}`, found.sizeBytes)
  try {
    await download(api, found, part, { progress: fetching, signal })
  } finally {
    fetching.end()
  }
  const checking = createProgress('Checking it', image.sizeBytes)
  try {
    await verifyGzip(part, manifest, chunks, checking.update)
  } finally {
    checking.end()
  }
  await rename(part, output)
  return { bytesFetched: found.sizeBytes }
}
