import { access, constants, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { Manifest } from '#protocol/image/image.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UnreachableError, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { openRemoteChunks, type RemoteChunks } from '../images/chunks.ts'
import { damageText } from '../images/damage-text.ts'
import {
  download,
  type Export,
  findExport,
  StoredAnewError,
  verifyCompressed,
} from '../images/pull-file.ts'
import { pullRaw } from '../images/pull-raw.ts'
import { verifyQcow2 } from '../images/verify-qcow2.ts'
import { isFileError, refuseOutput, UnwritableError, unwritable } from '../local-file.ts'
import { createProgress } from '../text/progress.ts'

interface PullOptions {
  output?: string
  force?: boolean
  format?: string
}

/** Each time the server recompressed meanwhile, which it does when nothing else is to do. */
const MOST_BEGINNINGS = 3
const FORMATS = ['raw', 'gz', 'zst', 'qcow2'] as const
type Format = (typeof FORMATS)[number]
const SUFFIXES: Record<Format, string> = {
  raw: '.img',
  gz: '.img.gz',
  zst: '.img.zst',
  qcow2: '.qcow2',
}

export function addPull(images: Command, signal: AbortSignal): void {
  images
    .command('pull <image>')
    .summary('Save an image as a file')
    .description(
      'Save an image, or a version of it, as a file: raw and sparse, gzip, zstd or qcow2, as --format or the name of the ' +
        'file says, else gzip (with -o: raw). What comes is checked against the digest; after a failure the same command goes on where it stopped.',
    )
    .option('-o, --output <file>', 'else {image}.img.gz')
    .option('--format <format>', 'raw, gz, zst or qcow2')
    .option('-f, --force', 'replace a file that is there')
    .addHelpText(
      'after',
      examples(
        'stampede images pull debian-13',
        'stampede images pull debian-13@3 --format qcow2',
        'stampede images pull debian-13 -o disk.raw',
      ),
    )
    .action(action<[string], PullOptions>(signal, pull))
}

/** By what was said, else by the name of the file; a name that tells nothing is that of a disk. */
function formatOf({ format, output }: PullOptions): Format {
  const known = FORMATS.find((each) => each === format)
  if (known) return known
  if (format !== undefined)
    throw new UsageError(`--format is "${format}" but must be ${FORMATS.join(', ')}`)
  if (output === undefined) return 'gz'
  const foreign = /\.(vmdk|vdi|vhdx?|xz|bz2|iso)$/i.exec(output)?.[1]
  if (foreign !== undefined)
    throw new UsageError(
      `${output} would be no ${foreign}: name it .img, .img.gz, .img.zst or .qcow2 (which qemu-img converts to others), or say what it is with --format`,
    )
  const ending = /\.(gz|zst|qcow2)$/.exec(output)?.[1]
  return FORMATS.find((each) => each === ending) ?? 'raw'
}

async function pull(context: Context, name: string, options: PullOptions): Promise<void> {
  const { signal } = context
  const format = formatOf(options)
  const output = options.output ?? `${name}${SUFFIXES[format]}`
  if (output === '-')
    throw new UsageError(
      'What is not a file cannot be checked: use "stampede images link" and curl',
    )
  await refuseOutput(output, options.force)
  await access(dirname(resolve(output)), constants.W_OK).catch((err: unknown) => {
    throw new UsageError(unwritable(output, err).message)
  })
  const api = await context.api()
  const image = await api.call<Image>('GET', `/api/images/${encodeURIComponent(name)}`)
  const damage = damageText(image)
  if (damage) throw new CliError(EXIT.refused, `Image "${name}" ${damage}`)
  const chunks = openRemoteChunks(api, { signal, onRetry: context.say })
  const got = await (format === 'raw'
    ? pullDisk(context, image, output, chunks)
    : pullFile(context, api, { image, name, format }, output, chunks))
  context.say(`${output} holds image "${name}"; every byte of it was checked`)
  const { digest, version } = image
  context.show({ image: name, version, digest, file: output, ...got }, () => output)
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

/** Tells what stays of a pull that did not end, for the next one to go on with. */
async function keeping<Result>(
  { signal, say }: Context,
  part: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (err) {
    const fault = isFileError(err) ? unwritable(part, err) : err
    const isPassing =
      signal.aborted || fault instanceof UnwritableError || fault instanceof UnreachableError
    if (isPassing && (await exists(part)))
      say(`What came is kept in ${part}; the same command goes on with it`)
    throw fault
  }
}

async function pullDisk(context: Context, image: Image, output: string, chunks: RemoteChunks) {
  const { signal, say } = context
  const manifest = await chunks.manifest(image.digest)
  const part = partOf(output, image.digest.slice(0, 16))
  if (await exists(part)) say('Going on with what an earlier pull left')
  const progress = createProgress(`Pulling ${image.name}`, image.sizeBytes)
  try {
    const pulled = await keeping(context, part, () =>
      pullRaw(part, manifest, { chunks, onProgress: progress.update, signal }),
    )
    await rename(part, output)
    progress.note(`${formatBytes(pulled.bytesFetched)} of content were fetched`)
    return pulled
  } finally {
    progress.end()
  }
}

async function pullFile(
  context: Context,
  api: ApiClient,
  { image, name, format }: { image: Image; name: string; format: Exclude<Format, 'raw'> },
  output: string,
  chunks: RemoteChunks,
) {
  const manifest = await chunks.manifest(image.digest)
  for (let begun = 1; ; begun++) {
    const found = await findExport(api, name, SUFFIXES[format])
    if (!found.etag.includes(image.digest))
      throw new CliError(EXIT.refused, `Image "${name}" was replaced just now; pull it again`)
    const part = partOf(output, versionOf(found))
    await removeOutdated(context, output, found, part)
    try {
      await fetchPart(context, api, found, { output, part })
    } catch (err) {
      if (!(err instanceof StoredAnewError) || begun === MOST_BEGINNINGS) throw err
      continue
    }
    return await finish(part, output, { image, format, manifest, chunks, found })
  }
}

/** The end of the digest, and what stands for the bytes that it is stored as. */
function versionOf({ etag }: Export): string {
  return etag.replace(/[^0-9a-z-]/g, '').replace(/^.{48}/, '')
}

/** What an earlier pull left of the same image in other bytes, as it was stored before. */
async function removeOutdated(
  { say }: Context,
  output: string,
  found: Export,
  part: string,
): Promise<void> {
  const [digest = ''] = versionOf(found).split('-')
  const folder = dirname(resolve(output))
  for (const name of await readdir(folder)) {
    const isOfImage = name.startsWith(`${basename(output)}.${digest}-`) && name.endsWith('.part')
    if (!isOfImage || name === basename(part)) continue
    await rm(join(folder, name))
    say(
      'The server stores the image in other bytes than an earlier pull began with: beginning anew',
    )
  }
}

async function fetchPart(
  context: Context,
  api: ApiClient,
  found: Export,
  { output, part }: { output: string; part: string },
): Promise<void> {
  const progress = createProgress(`Pulling ${basename(output)}`, found.sizeBytes)
  try {
    await keeping(context, part, () =>
      download(api, found, part, { progress, signal: context.signal }),
    )
  } finally {
    progress.end()
  }
}

interface Fetched {
  image: Image
  format: Exclude<Format, 'raw'>
  manifest: Manifest
  chunks: RemoteChunks
  found: Export
}

async function finish(
  part: string,
  output: string,
  { image, format, manifest, chunks, found }: Fetched,
) {
  const checking = createProgress('Checking it', image.sizeBytes)
  try {
    await verify(part, format, manifest, chunks, checking.update)
  } finally {
    checking.end()
  }
  await rename(part, output)
  return { bytesFetched: found.sizeBytes }
}

async function verify(
  part: string,
  format: Exclude<Format, 'raw'>,
  ...rest: [Manifest, RemoteChunks, (bytesDone: number) => void]
): Promise<void> {
  switch (format) {
    case 'gz':
      return verifyCompressed(part, 'gzip', ...rest)
    case 'zst':
      return verifyCompressed(part, 'zstd', ...rest)
    case 'qcow2':
      return verifyQcow2(part, ...rest)
  }
}
