import { CONFIG_HEADER, type ConfigFile, type StaticNetwork } from './static-network.ts'

/**
 * A definition of its own beside those of the image, which may hold bonds or other cards. For one
 * card, networkd takes the first file that matches, and netplan names files after definitions
 * (`10-netplan-<name>.network`): `00-` puts ours before DHCP settings for the same card.
 */
export function netplanFile({ mac, address, gateway, nameservers }: StaticNetwork): ConfigFile {
  const route = ['      routes:', '        - to: 0.0.0.0/0', `          via: ${gateway}`]
  const servers = ['      nameservers:', `        addresses: [${nameservers.join(', ')}]`]
  const lines = [
    CONFIG_HEADER,
    'network:',
    '  version: 2',
    '  ethernets:',
    '    00-stampede:',
    '      match:',
    `        macaddress: "${mac}"`,
    '      dhcp4: false',
    `      addresses: ["${address}"]`,
    ...(gateway === undefined ? [] : route),
    ...(nameservers.length > 0 ? servers : []),
    '',
  ]
  // netplan warns of files that others may read: they can hold secrets.
  return { path: '/etc/netplan/99-stampede.yaml', text: lines.join('\n'), mode: 0o600 }
}
