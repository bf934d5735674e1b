import { CONFIG_HEADER, type ConfigFile, type StaticNetwork } from './static-network.ts'

/**
 * systemd.network(5): of the files that match a card the first by name wins, so `00-` goes before
 * DHCP. `Type=ether` keeps bridges and bonds out, which carry the MAC address of their first card.
 */
export function networkdFile({ mac, address, gateway, nameservers }: StaticNetwork): ConfigFile {
  const lines = [
    CONFIG_HEADER,
    '[Match]',
    `MACAddress=${mac}`,
    'Type=ether',
    '',
    '[Network]',
    `Address=${address}`,
    ...(gateway === undefined ? [] : [`Gateway=${gateway}`]),
    ...nameservers.map((server) => `DNS=${server}`),
    '',
  ]
  return { path: '/etc/systemd/network/00-stampede.network', text: lines.join('\n'), mode: 0o644 }
}
