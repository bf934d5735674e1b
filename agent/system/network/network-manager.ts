import { CONFIG_HEADER, type ConfigFile, type StaticNetwork } from './static-network.ts'

/**
 * nm-settings-keyfile(5). Of the profiles that fit a card, NetworkManager starts the one of the
 * highest priority: the image's DHCP profile, of priority 0, loses without being touched.
 */
export function networkManagerFile(network: StaticNetwork, uuid: string): ConfigFile {
  const { mac, address, gateway, nameservers } = network
  const lines = [
    CONFIG_HEADER,
    '[connection]',
    'id=stampede',
    `uuid=${uuid}`,
    'type=ethernet',
    'autoconnect-priority=999',
    '',
    '[ethernet]',
    `mac-address=${mac.toUpperCase()}`,
    '',
    '[ipv4]',
    'method=manual',
    `address1=${address}${gateway === undefined ? '' : `,${gateway}`}`,
    ...(nameservers.length > 0 ? [`dns=${nameservers.join(';')};`] : []),
    '',
    '[ipv6]',
    'method=auto',
    '',
  ]
  const path = '/etc/NetworkManager/system-connections/stampede.nmconnection'
  // Profiles that others may read are ignored.
  return { path, text: lines.join('\n'), mode: 0o600 }
}
