import type { SystemFiles } from '../system-files.ts'

/**
 * Leases, DHCP unique identifiers (RFC 8415 DUIDs) and secrets that DHCP clients keep: clones that
 * share them are one client to a server and get one address. From a new machine-id come new ones.
 */
const STATE_FILES: Record<string, RegExp> = {
  '/var/lib/dhcp': /lease|duid/i, // dhclient of Debian
  '/var/lib/dhclient': /lease|duid/i, // dhclient of Red Hat
  '/var/lib/dhcpcd': /./,
  '/var/lib/dhcpcd5': /./,
  '/var/db/dhcpcd': /./,
  '/var/lib/NetworkManager': /lease|^(secret_key|timestamps|seen-bssids)$/,
  '/var/lib/systemd/network': /./,
  '/var/lib/wicked': /^(duid|iaid|lease-.*)(\.xml)?$/,
  '/var/lib/connman': /lease|^settings$/,
  '/etc': /^dhcpcd\.(duid|secret)$/,
  '/etc/udev/rules.d': /^70-persistent-net\.rules$/,
}

/** Returns what was removed. */
export async function removeNetworkState(files: SystemFiles): Promise<string[]> {
  const removed: string[] = []
  for (const [folder, pattern] of Object.entries(STATE_FILES))
    for (const name of await files.list(folder)) {
      if (!pattern.test(name)) continue
      await files.remove(`${folder}/${name}`)
      removed.push(`${folder}/${name}`)
    }
  return removed
}
