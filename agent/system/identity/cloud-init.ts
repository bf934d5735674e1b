import type { SystemFiles } from '../system-files.ts'

const STATE = '/var/lib/cloud'
const SETTINGS = '/etc/cloud/cloud.cfg.d'

/** cloud-init is installed and not switched off. */
async function hasCloudInit(files: SystemFiles): Promise<boolean> {
  const isInstalled = (await files.kind('/etc/cloud/cloud.cfg')) === 'file'
  return isInstalled && (await files.kind('/etc/cloud/cloud-init.disabled')) === undefined
}

/** As `cloud-init clean` does: the clone is a new instance. A seed is kept, it was put there. */
export async function resetCloudInit(files: SystemFiles): Promise<void> {
  if (!(await hasCloudInit(files))) return
  for (const name of await files.list(STATE))
    if (name !== 'seed') await files.remove(`${STATE}/${name}`)
}

/** Keeps cloud-init from replacing our host name by that of its data source. */
export async function keepHostname(files: SystemFiles): Promise<void> {
  if (!(await hasCloudInit(files))) return
  await files.write(`${SETTINGS}/99-stampede-hostname.cfg`, 'preserve_hostname: true\n')
}

/** Files that cloud-init made from its data source or from its fallback: DHCP on the first card. */
const GENERATED: Record<string, RegExp> = {
  '/etc/netplan': /^50-cloud-init\.yaml$/,
  '/etc/network/interfaces.d': /^50-cloud-init(\.cfg)?$/,
  '/etc/systemd/network': /^\d+-cloud-init-.*\.network$/,
  '/etc/NetworkManager/system-connections': /^cloud-init-.*\.nmconnection$/,
}

/** Keeps cloud-init from configuring the network besides us, and removes what it had configured. */
export async function disableCloudNetwork(files: SystemFiles): Promise<void> {
  if (!(await hasCloudInit(files))) return
  await files.write(`${SETTINGS}/99-stampede-network.cfg`, 'network: {config: disabled}\n')
  for (const [folder, pattern] of Object.entries(GENERATED))
    for (const name of await files.list(folder))
      if (pattern.test(name)) await files.remove(`${folder}/${name}`)
}
