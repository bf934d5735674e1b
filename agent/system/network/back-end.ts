import { findProgram } from '../chroot.ts'
import type { SystemFiles } from '../system-files.ts'
import { configuredInterfaces } from './ifupdown.ts'

export type NetworkBackEnd = 'netplan' | 'networkd' | 'network-manager' | 'ifupdown'

/** What tells who configures the network of a system. */
export type NetworkFacts = {
  hasNetplan: boolean
  networkdEnabled: boolean
  hasNetworkdFiles: boolean
  networkManagerEnabled: boolean
  hasIfupdown: boolean
  /** What ifupdown configures besides the loopback. */
  ifupdownInterfaces: readonly string[]
}

/**
 * Who configures the network. netplan drives the others and so comes first. NetworkManager keeps
 * its hands off what ifupdown configures, and networkd does nothing without files.
 */
export function chooseBackEnd(facts: NetworkFacts): NetworkBackEnd | undefined {
  const usesIfupdown = facts.hasIfupdown && facts.ifupdownInterfaces.length > 0
  if (facts.hasNetplan) return 'netplan'
  if (facts.networkdEnabled && facts.hasNetworkdFiles) return 'networkd'
  if (usesIfupdown) return 'ifupdown'
  if (facts.networkManagerEnabled) return 'network-manager'
  if (facts.networkdEnabled) return 'networkd'
  return facts.hasIfupdown ? 'ifupdown' : undefined
}

const NETPLAN_FOLDERS = ['/etc/netplan', '/usr/lib/netplan', '/lib/netplan']
const INTERFACES_FOLDER = '/etc/network/interfaces.d'
export const INTERFACES_FILE = '/etc/network/interfaces'

export async function readNetworkFacts(files: SystemFiles): Promise<NetworkFacts> {
  const hasNetplan =
    (await findProgram(files, 'netplan')) !== undefined &&
    (await findFolder(files, NETPLAN_FOLDERS)) !== undefined
  const networkFiles = await files.list('/etc/systemd/network')
  const hasIfupdown =
    (await findProgram(files, 'ifup')) !== undefined &&
    (await files.kind(INTERFACES_FILE)) === 'file'
  const interfaces = await readInterfaces(files)
  return {
    hasNetplan,
    networkdEnabled: await isEnabled(files, 'systemd-networkd.service'),
    hasNetworkdFiles: networkFiles.some((name) => name.endsWith('.network')),
    networkManagerEnabled: await isEnabled(files, 'NetworkManager.service'),
    hasIfupdown,
    ifupdownInterfaces: [...interfaces.values()].flatMap((text) => configuredInterfaces(text)),
  }
}

/** The texts of /etc/network/interfaces and of the files that Debian's includes, by path. */
export async function readInterfaces(files: SystemFiles): Promise<Map<string, string>> {
  const names = await files.list(INTERFACES_FOLDER)
  const paths = [INTERFACES_FILE, ...names.map((name) => `${INTERFACES_FOLDER}/${name}`)]
  const texts = new Map<string, string>()
  for (const path of paths) {
    const text = await files.read(path)
    if (text !== undefined) texts.set(path, text)
  }
  return texts
}

/** systemctl(1) enables a unit by a link in the folder of what wants it. */
export async function isEnabled(files: SystemFiles, unit: string): Promise<boolean> {
  for (const base of ['/etc/systemd/system', '/usr/lib/systemd/system'])
    for (const target of ['multi-user.target.wants', 'sysinit.target.wants'])
      if ((await files.list(`${base}/${target}`)).includes(unit)) return true
  return false
}

async function findFolder(files: SystemFiles, paths: string[]): Promise<string | undefined> {
  for (const path of paths) if ((await files.kind(path)) === 'folder') return path
  return undefined
}
