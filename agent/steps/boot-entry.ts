import { ESP_TYPE, MBR_ESP_TYPE } from '#protocol/disk/partition-table.ts'
import { orderWith, parseBootManager, planEntries } from '../efi/boot-entries.ts'
import type { BootManager, WantedEntry } from '../efi/boot-entries.ts'
import { findFallback, findLoader, listEfiFiles } from '../efi/loaders.ts'
import { readLayout } from '../system/layout.ts'
import { openMount } from '../system/mount.ts'
import { findContent } from '../system/probe.ts'
import type { StepContext, StepOutcome } from './step.ts'

export type BootEntryContext = Pick<
  StepContext,
  'exec' | 'log' | 'warn' | 'disk' | 'run' | 'inventory'
>

/** An EFI system partition of the target and what the firmware could start from it. */
type Esp = {
  number: number
  path: string
  partUuid: string
  fallback: string | undefined
  loader: string | undefined
}

/**
 * Sees to it that UEFI firmware finds the deployed system: a loader at the fallback path needs
 * nothing; else one entry of ours comes right after the one that we booted from. Entries of ours
 * that lead nowhere go.
 */
export async function bootEntry(context: BootEntryContext): Promise<StepOutcome> {
  const { inventory, disk, warn, exec } = context
  if (inventory.firmware !== 'uefi')
    return { state: 'skipped', message: 'The machine started with BIOS firmware' }

  const esps = await findEsps(context)
  const withFallback = esps.find(({ fallback }) => fallback !== undefined)
  const esp = withFallback ?? esps.find(({ loader }) => loader !== undefined)
  const wanted = withFallback ? undefined : esp && wantedEntry(context, esp)
  const manager = await readBootManager(context)
  const partUuids = new Set(esps.map(({ partUuid }) => partUuid))
  const { remove, keep } = planEntries(
    manager,
    { partUuids, ...(wanted && { wanted }) },
    otherPartUuids(context),
  )
  await removeEntries(context, manager, remove)

  if (withFallback)
    return { state: 'skipped', message: `Firmware finds "${withFallback.fallback}" by itself` }
  if (!esp || !wanted) {
    const message = `No UEFI boot loader was found on ${disk.path}, so there is no boot entry`
    warn(message)
    return { state: 'skipped', message }
  }
  const number = keep ?? (await createEntry(context, esp, wanted))
  const order = orderWith(await readBootManager(context), number)
  await exec('efibootmgr', ['--quiet', '--bootorder', order.join(',')])
  const message = `Boot entry ${number} "${wanted.label}" starts "${wanted.loader}"`
  return { state: 'succeeded', message: `${message}; the boot order is ${order.join(', ')}` }
}

async function findEsps({ exec, disk, inventory }: BootEntryContext): Promise<Esp[]> {
  const { table, partitions } = await readLayout(exec, disk.path)
  const type = table === 'gpt' ? ESP_TYPE : MBR_ESP_TYPE.slice(2)
  const esps: Esp[] = []
  for (const { number, path } of partitions.filter((partition) => partition.type === type)) {
    const content = await findContent(exec, path)
    if (content?.type !== 'vfat' || content.partUuid === undefined) continue
    await using mount = await openMount(exec, { device: path, fileSystem: 'vfat', mode: 'ro' })
    const files = await listEfiFiles(mount.path)
    const fallback = findFallback(files, inventory.architecture)
    const loader = findLoader(files, inventory.architecture)
    esps.push({ number, path, partUuid: content.partUuid.toLowerCase(), fallback, loader })
  }
  return esps
}

function wantedEntry({ run }: BootEntryContext, { partUuid, loader }: Esp): WantedEntry {
  const label = run.image ? `Stampede (${run.image.name})` : 'Stampede'
  return { label, partUuid, loader: loader! }
}

/** Partitions of the other disks: the target's, as inventoried, are history. */
function otherPartUuids({ inventory, disk }: BootEntryContext): Set<string> {
  const others = inventory.disks.filter(({ path }) => path !== disk.path)
  const uuids = others.flatMap(({ partitions }) => partitions.map(({ uuid }) => uuid))
  return new Set(uuids.filter((uuid) => uuid !== undefined).map((uuid) => uuid.toLowerCase()))
}

async function readBootManager({ exec }: BootEntryContext): Promise<BootManager> {
  return parseBootManager((await exec('efibootmgr', ['--verbose'])).stdout)
}

async function removeEntries(
  { exec, log, warn }: BootEntryContext,
  { entries }: BootManager,
  numbers: readonly string[],
): Promise<void> {
  for (const number of numbers) {
    const label = entries.find((entry) => entry.number === number)?.label
    try {
      await exec('efibootmgr', ['--quiet', '--delete-bootnum', '--bootnum', number])
      log(`Boot entry ${number} "${label}" is of no use any more and was removed`)
    } catch (err) {
      // Some firmware protects its variables; an entry too many keeps nothing from booting.
      warn(`Boot entry ${number} "${label}" could not be removed: ${String(err)}`)
    }
  }
}

/** Creates an entry without a place in the boot order and returns its number. */
async function createEntry(
  context: BootEntryContext,
  esp: Esp,
  { label, loader }: WantedEntry,
): Promise<string> {
  const before = new Set((await readBootManager(context)).entries.map(({ number }) => number))
  const target = ['--disk', context.disk.path, '--part', String(esp.number)]
  const entry = ['--label', label, '--loader', loader]
  await context.exec('efibootmgr', ['--quiet', '--create-only', ...target, ...entry])
  const { entries } = await readBootManager(context)
  const created = entries.find(({ number }) => !before.has(number))
  if (!created) throw new Error(`The firmware did not keep the new boot entry "${label}"`)
  return created.number
}
