import type { networkInterfaces } from 'node:os'
import { formatIpv4Cidr, parseIpv4, type Ipv4Cidr } from '#protocol/ipv4.ts'
import { ConfigError, type Env, readVariable as read } from './env.ts'

export interface NetworkConfig {
  interface: string
  cidr: Ipv4Cidr
}

export type Interfaces = ReturnType<typeof networkInterfaces>

/** The interface that was named, or the only one with an address. */
export function readNetwork(
  env: Env,
  interfaces: Interfaces,
  needed: boolean,
): NetworkConfig | undefined {
  const networks = Object.entries(interfaces).flatMap(([name, addresses = []]) => {
    const found = addresses.find(({ family, cidr }) => family === 'IPv4' && cidr)
    if (!found) return []
    const [address = '', prefixLength] = found.cidr!.split('/')
    const cidr = { address: parseIpv4(address), prefixLength: Number(prefixLength) }
    return [{ interface: name, cidr, internal: found.internal }]
  })
  const name = read(env, 'STAMPEDE_INTERFACE')
  if (name !== undefined) {
    const named = networks.find((network) => network.interface === name)
    if (named) return { interface: name, cidr: named.cidr }
    const state = name in interfaces ? 'has no IPv4 address' : 'does not exist or is down'
    throw new ConfigError(
      `STAMPEDE_INTERFACE is "${name}" which ${state}; ${listNetworks(networks)}`,
    )
  }
  const [only, ...others] = networks.filter(({ internal }) => !internal)
  if (only && others.length === 0) return { interface: only.interface, cidr: only.cidr }
  if (!needed) return undefined
  throw new ConfigError(
    `STAMPEDE_INTERFACE must name where DHCP answers; ${listNetworks(networks)}`,
  )
}

function listNetworks(networks: NetworkConfig[]): string {
  const list = networks.map((network) => `${network.interface} (${formatIpv4Cidr(network.cidr)})`)
  return list.length ? `with an address there are ${list.join(', ')}` : 'none has an IPv4 address'
}
