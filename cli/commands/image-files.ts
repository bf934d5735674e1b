import { open, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { ImageDirectory } from '#protocol/image/image-info.ts'
import { explainFailure, readError } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { isFileError, refuseOutput, unwritable } from '../local-file.ts'
import type { Column } from '../text/table.ts'
import { printable } from '../text/text.ts'
import { imagePath } from './image-versions.ts'

interface FilesOptions {
  partition?: string
  volume?: string
  output?: string
  force?: boolean
}

const COLUMNS: Column<ImageDirectory['items'][number]>[] = [
  {
    head: 'Name',
    cell: ({ name, kind }) => `${printable(name)}${kind === 'directory' ? '/' : ''}`,
    key: true,
  },
  { head: 'Kind', cell: ({ kind }) => (kind === 'symlink' ? 'link' : kind) },
  {
    head: 'Size',
    cell: ({ sizeBytes }) => (sizeBytes === undefined ? undefined : formatBytes(sizeBytes)),
    align: 'right',
  },
]
/** The server may have to unpack the partition first. */
const OPEN_MILLISECONDS = 600_000

/** What is in an image, read-only. */
export function addFiles(images: Command, signal: AbortSignal): void {
  images
    .command('get <image> <path>')
    .summary('One file of an image')
    .description(
      'Print one file of an image, or save it, from ext2 to ext4, XFS, btrfs, NTFS and FAT, also in logical volumes, read-only. Links are followed inside the ' +
        'image. Without --partition it is that of the root, else the largest that can be read.',
    )
    .option('-o, --output <file>', 'where it goes, else standard output')
    .option('-f, --force', 'replace a file that is there')
    .option('--partition <number>', 'where it is; 0: the disk has no partitions')
    .option('--volume <group/name>', 'in which logical volume it is')
    .addHelpText(
      'after',
      examples(
        'stampede images get debian-13 /etc/fstab',
        'stampede images get debian-13@3 /boot/grub/grub.cfg -o grub.cfg',
        'diff <(stampede images get web@3 /etc/hosts) <(stampede images get web@4 /etc/hosts)',
      ),
    )
    .action(action<[string, string], FilesOptions>(signal, get))
  images
    .command('ls-files <image> [path]')
    .description('What is in a directory of an image')
    .option('--partition <number>', 'where it is; 0: the disk has no partitions')
    .option('--volume <group/name>', 'in which logical volume it is')
    .addHelpText('after', examples('stampede images ls-files debian-13 /etc'))
    .action(
      action<[string, string | undefined], FilesOptions>(
        signal,
        async (context, name, path, { partition, volume }) => {
          const api = await context.api()
          const query = { path: path ?? '/', partition: numberOf(partition), volume }
          const found = await api.call<ImageDirectory>('GET', `${imagePath(name)}/tree`, {
            query,
            timeoutMilliseconds: OPEN_MILLISECONDS,
          })
          context.showList(found, COLUMNS, 'The directory is empty')
        },
      ),
    )
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,5}$/.test(text)) return Number(text)
  throw new UsageError(`--partition is "${text}" but must be a number`)
}

async function get(
  { api, signal, say }: Context,
  name: string,
  path: string,
  { partition, volume, output, force }: FilesOptions,
): Promise<void> {
  const isSaved = output !== undefined && output !== '-'
  if (isSaved) await refuseOutput(output, force)
  const client = await api()
  const query = { path, partition: numberOf(partition), volume }
  const address = `${imagePath(name)}/files`
  const response = await client.fetch('GET', address, { query }, signal)
  if (!response.ok || !response.body) throw readError(response, await response.text(), address)
  const body = response.body as AsyncIterable<Uint8Array>
  if (!isSaved) {
    try {
      for await (const bytes of body)
        if (!process.stdout.write(bytes))
          await new Promise((drained) => process.stdout.once('drain', drained))
    } catch (err) {
      throw explainFailure(err, client.server, signal)
    }
    return
  }
  await save(output, body, force).catch((err: unknown) => {
    throw isFileError(err) ? unwritable(output, err) : explainFailure(err, client.server, signal)
  })
  say(`${basename(path)} of "${name}" is in ${output}`)
}

async function save(
  output: string,
  body: AsyncIterable<Uint8Array>,
  isForced = false,
): Promise<void> {
  await using file = await open(output, isForced ? 'w' : 'wx')
  try {
    for await (const bytes of body) await file.writeFile(bytes)
  } catch (err) {
    // Half of a file is nothing that anybody wants; a device stays.
    if ((await file.stat()).isFile()) await rm(output, { force: true })
    throw err
  }
}
