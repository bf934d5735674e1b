import { randomUUID } from 'node:crypto'
import { ExecError } from '../../exec.ts'
import { findProgram } from '../chroot.ts'
import type { DeployedSystem } from '../deployed-system.ts'
import { disableCloudNetwork } from '../identity/cloud-init.ts'
import type { SystemFiles } from '../system-files.ts'
import {
  chooseBackEnd,
  INTERFACES_FILE,
  isEnabled,
  readInterfaces,
  readNetworkFacts,
  type NetworkBackEnd,
} from './back-end.ts'
import { configuredInterfaces, disableInterface, knowsPatterns, staticStanza } from './ifupdown.ts'
import { netplanFile } from './netplan.ts'
import { networkManagerFile } from './network-manager.ts'
import { networkdFile } from './networkd.ts'
import { setNameservers } from './resolver.ts'
import type { ConfigFile, StaticNetwork } from './static-network.ts'

type System = Pick<DeployedSystem, 'files' | 'run'>

/** Writes the settings for whoever configures the system's network, and returns who that is. */
export async function setNetwork(
  system: System,
  network: StaticNetwork,
  warn: (text: string) => void,
): Promise<NetworkBackEnd> {
  const { files } = system
  const backEnd = chooseBackEnd(await readNetworkFacts(files))
  if (!backEnd)
    throw new Error(
      'The static network could not be set: the image has none of netplan, systemd-networkd, NetworkManager and ifupdown enabled',
    )
  await disableCloudNetwork(files)
  if (backEnd === 'ifupdown') await setIfupdown(system, network, warn)
  else {
    const { path, text, mode } = configFile(backEnd, network)
    await files.write(path, text, mode)
  }
  await setResolver(files, backEnd, network.nameservers)
  return backEnd
}

function configFile(
  backEnd: Exclude<NetworkBackEnd, 'ifupdown'>,
  network: StaticNetwork,
): ConfigFile {
  switch (backEnd) {
    case 'netplan':
      return netplanFile(network)
    case 'networkd':
      return networkdFile(network)
    case 'network-manager':
      return networkManagerFile(network, randomUUID())
  }
}

/**
 * Our stanza comes first: what ifup has configured once, it does not configure again. A single
 * interface of the image is the card that we mean, so its old settings go.
 */
async function setIfupdown(
  { files, run }: System,
  network: StaticNetwork,
  warn: (text: string) => void,
): Promise<void> {
  const texts = await readInterfaces(files)
  const names = [...texts.values()].flatMap((text) => configuredInterfaces(text))
  const [single] = new Set(names).size === 1 ? names : []
  const hasPatterns = await ifupKnowsPatterns(run)
  if (!hasPatterns && single === undefined)
    throw new Error(
      `The static network could not be set: this image's ifup cannot find a card by its MAC address, and which of its interfaces is meant is unknown (${names.join(', ') || 'it has none'})`,
    )
  if (single === undefined && names.length > 0)
    warn(`Settings of the image for ${names.join(', ')} were left beside the static network`)

  for (const [path, text] of texts) {
    const rest = single === undefined ? text : disableInterface(text, single)
    const own = path === INTERFACES_FILE
    const changed = own ? staticStanza(network, hasPatterns ? undefined : single) + rest : rest
    if (changed !== text) await files.write(path, changed)
  }
}

async function ifupKnowsPatterns(run: DeployedSystem['run']): Promise<boolean> {
  try {
    const result = await run('ifup', ['--version'])
    // A program that cannot run here, for another processor, is of a Debian that is not that old.
    return result === undefined || knowsPatterns(result.stdout)
  } catch (err) {
    if (err instanceof ExecError) return false
    throw err
  }
}

/** For systems in which nobody writes resolv.conf from the settings above. */
async function setResolver(
  files: SystemFiles,
  backEnd: NetworkBackEnd,
  nameservers: readonly string[],
): Promise<void> {
  const path = '/etc/resolv.conf'
  const isManaged =
    (await files.linkTarget(path)) !== undefined ||
    backEnd === 'network-manager' ||
    (await isEnabled(files, 'systemd-resolved.service')) ||
    (backEnd === 'ifupdown' && (await findProgram(files, 'resolvconf')) !== undefined)
  if (isManaged || nameservers.length === 0) return
  await files.write(path, setNameservers((await files.read(path)) ?? '', nameservers))
}
