import { parseMac } from '#protocol/mac.ts'
import type { SystemContext } from '../system/context.ts'
import { openDeployedSystem } from '../system/deployed-system.ts'
import { resetCloudInit } from '../system/identity/cloud-init.ts'
import {
  capturedMac,
  findMacs,
  MAC_FORMATS,
  planMacChange,
  replaceMac,
  type MacFormat,
} from '../system/identity/mac-matches.ts'
import { resetMachineId } from '../system/identity/machine-id.ts'
import { removeNetworkState } from '../system/identity/network-state.ts'
import { renewRandomSeeds } from '../system/identity/random-seed.ts'
import { renewSshKeys } from '../system/identity/ssh-keys.ts'
import { resetStorageNames } from '../system/identity/storage-names.ts'
import type { SystemFiles } from '../system/system-files.ts'
import type { StepContext, StepOutcome } from './step.ts'

export type IdentityContext = SystemContext & {
  readonly run: Pick<StepContext['run'], 'image' | 'machine' | 'options'>
  readonly inventory: Pick<StepContext['inventory'], 'nics'>
}

/** Makes a clone a machine of its own: a hundred of them share neither keys nor addresses. */
export async function resetIdentity(context: IdentityContext): Promise<StepOutcome> {
  const { run, warn, log } = context
  if (run.options.identity === 'keep')
    return { state: 'skipped', message: 'The run keeps the identity of the captured machine' }
  await using system = await openDeployedSystem(context)
  if (!system) return { state: 'skipped', message: 'No root to change was found' }
  const { files } = system
  await resetMachineId(files)
  await renewRandomSeeds(files)
  const removed = await removeNetworkState(files)
  if (removed.length > 0) log(`Removed ${removed.join(', ')}`)
  await resetCloudInit(files)
  await resetStorageNames(files)
  await adoptMacs(context, files)
  await renewSshKeys(system, warn)
  return { state: 'succeeded' }
}

type MacFile = { path: string; text: string; format: MacFormat }

/** Settings that match the captured machine's card by its MAC address match this machine's. */
async function adoptMacs(context: IdentityContext, files: SystemFiles): Promise<void> {
  const { run, inventory, log, warn } = context
  const found = await macFiles(files)
  const named = new Set(found.flatMap(({ text, format }) => findMacs(text, format)))
  const captured = capturedMac(run.image?.info?.source)
  const boot = parseMac(run.machine.mac)
  const own = inventory.nics.flatMap(({ mac }) => (isEthernetMac(mac) ? [parseMac(mac)] : []))
  const facts = { named: [...named], boot, own, ...(captured && { captured }) }
  const { from, unclear } = planMacChange(facts)
  if (unclear.length > 0)
    warn(
      `Network settings of the image name MAC addresses that this machine has not, and which of its cards are meant is unknown: ${unclear.join(', ')}`,
    )
  if (!from) return
  for (const { path, text, format } of found) {
    const changed = replaceMac(text, format, { from, to: boot })
    if (changed === text) continue
    await files.write(path, changed)
    log(`${path}: ${from} became ${boot}`)
  }
}

async function macFiles(files: SystemFiles): Promise<MacFile[]> {
  const found: MacFile[] = []
  for (const format of MAC_FORMATS)
    for (const name of await files.list(format.folder)) {
      const path = `${format.folder}/${name}`
      const text = format.name.test(name) ? await files.read(path) : undefined
      if (text !== undefined) found.push({ path, text, format })
    }
  return found
}

/** InfiniBand and the like have longer addresses. */
function isEthernetMac(text: string): boolean {
  return /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)
}
