import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { ApiClient } from '../api-client.ts'
import { confirmTyped } from '../confirm.ts'
import { action, type Context } from '../context.ts'
import { examples } from '../help.ts'
import { describeImage } from '../text/image-text.ts'
import type { Column } from '../text/table.ts'
import { ago, paint, plural } from '../text/text.ts'
import { addFiles } from './image-files.ts'
import { addImport } from './image-import.ts'
import { addLinks } from './image-links.ts'
import { addPull } from './image-pull.ts'
import { addPush } from './image-push.ts'
import { addVersions } from './image-versions.ts'

/** Extended by `GET /api/images/{name}`. */
const IMAGE_COLUMNS: Column<Image>[] = [
  { head: 'Name', cell: ({ name }) => name, key: true },
  { head: 'Disk', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
  { head: 'Stored', cell: ({ storedBytes }) => formatBytes(storedBytes), align: 'right' },
  {
    head: 'Own',
    cell: ({ uniqueBytes }) => (uniqueBytes === null ? undefined : formatBytes(uniqueBytes)),
    align: 'right',
  },
  { head: 'System', cell: ({ info }) => info.operatingSystem },
  { head: 'Boots', cell: ({ info }) => info.bootModes?.join('+') },
  { head: 'Version', cell: versionOf, align: 'right' },
  { head: 'Digest', cell: ({ digest }) => digest.slice(0, 12) },
  { head: 'Used by', cell: usersOf },
  { head: 'Created', cell: ({ createdAt }) => ago(createdAt) },
]

const DAMAGE: Column<Image> = {
  head: 'State',
  cell: ({ damaged }) => damaged && 'damaged',
  paint: (text) => paint('red', text),
}

/** There is a column of what is damaged only if something is. */
function columnsFor(images: readonly Image[]): Column<Image>[] {
  const [name, ...rest] = IMAGE_COLUMNS
  return images.some(({ damaged }) => damaged) ? [name!, DAMAGE, ...rest] : IMAGE_COLUMNS
}

/** `3`, or `2 of 5` where there are others. */
function versionOf({ version, versionCount }: Image): string {
  return versionCount === 1 ? String(version) : `${version} of ${versionCount}`
}

function usersOf({ usedBy }: Image): string | undefined {
  const parts = [
    usedBy.machines.length > 0 && plural(usedBy.machines.length, 'machine'),
    usedBy.runs.length > 0 && plural(usedBy.runs.length, 'run'),
  ].filter(Boolean)
  return parts.join(', ') || undefined
}

export function addImages(program: Command, signal: AbortSignal): void {
  const images = program
    .command('images')
    .alias('image')
    .description('Push, pull and manage images')
  images
    .command('ls')
    .alias('list')
    .description('List images; OWN is what no other image or version has')
    .addHelpText(
      'after',
      examples('stampede images ls', "stampede images ls --json | jq -r '.items[].name'"),
    )
    .action(action<[]>(signal, list))
  images
    .command('show <image>')
    .description('All that is known of an image')
    .addHelpText('after', examples('stampede images show debian-13'))
    .action(action<[string]>(signal, show))
  addPush(images, signal)
  addPull(images, signal)
  addImport(images, signal)
  addVersions(images, signal)
  addFiles(images, signal)
  images
    .command('rename <image> <name>')
    .description('Give an image another name; machines it is assigned to follow')
    .addHelpText('after', examples('stampede images rename debian-13 debian-13-old'))
    .action(
      action<[string, string]>(signal, async (context, image, name) => {
        const changed = await change(context, image, { name })
        context.show(changed, () => `Image "${image}" is called "${changed.name}" now`)
      }),
    )
  images
    .command('describe <image> <text>')
    .description('Note what an image is; an empty text removes the note')
    .addHelpText('after', examples('stampede images describe debian-13 "nginx, for the web rack"'))
    .action(
      action<[string, string]>(signal, async (context, image, text) => {
        const changed = await change(context, image, { description: text === '' ? null : text })
        context.show(changed, describeImage)
      }),
    )
  addLinks(images, signal)
  images
    .command('rm <image...>')
    .alias('delete')
    .description(
      'Delete images, or versions of them; refused while an assignment or an active run uses one',
    )
    .option('--unassign', 'also where machines have it assigned')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      examples('stampede images rm debian-12', 'stampede images rm debian-13@2'),
    )
    .action(action<[string[]], { yes?: boolean; unassign?: boolean }>(signal, remove))
}

function pathOf(image: string): string {
  return `/api/images/${encodeURIComponent(image)}`
}

async function list(context: Context): Promise<void> {
  const api = await context.api()
  const none = 'No images; "stampede images push disk.qcow2" or "stampede capture" make one'
  const images = await api.list<Image>('/api/images')
  context.showList(images, columnsFor(images.items), none)
}

async function show(context: Context, name: string): Promise<void> {
  const api = await context.api()
  context.show(await api.call<Image>('GET', pathOf(name)), describeImage)
}

async function change(context: Context, image: string, json: unknown): Promise<Image> {
  const api = await context.api()
  return await api.call<Image>('PATCH', pathOf(image), { json })
}

/** The number that `debian-13@latest` stands for at the moment. */
async function numberOf(api: ApiClient, reference: string): Promise<number> {
  return (await api.call<Image>('GET', pathOf(reference))).version
}

/** `debian-13 with all its 3 versions`, or `debian-13@2`. */
function lossOf(name: string, { versionCount }: Image): string {
  return name.includes('@') || versionCount === 1
    ? name
    : `${name} with all its ${versionCount} versions`
}

async function remove(
  context: Context,
  names: string[],
  { yes, unassign }: { yes?: boolean; unassign?: boolean },
): Promise<void> {
  const api = await context.api()
  const losses: string[] = []
  for (const name of names) losses.push(lossOf(name, await api.call<Image>('GET', pathOf(name))))
  const [only, ...others] = names
  const word = others.length === 0 ? only! : String(names.length)
  if (!yes) await confirmTyped(context, `Will be deleted: ${losses.join(', ')}`, word)
  for (const name of names) {
    const [image, version] = name.split('@')
    if (version === undefined) await api.call('DELETE', pathOf(name), { query: { unassign } })
    else await api.call('DELETE', `${pathOf(image!)}/versions/${await numberOf(api, name)}`)
    if (!context.isJson)
      context.print(`${version === undefined ? 'Image' : 'Version'} "${name}" is deleted`)
  }
  if (context.isJson) context.show({ deleted: names }, String)
}
