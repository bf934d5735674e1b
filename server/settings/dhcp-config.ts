import assert from 'node:assert'
import { isIP } from 'node:net'
import {
  formatIpv4Cidr,
  networkRange,
  parseIpv4,
  parseIpv4Range,
  rangeContains,
  type Ipv4,
  type Ipv4Range,
} from '#protocol/ipv4.ts'
import {
  ConfigError,
  type Env,
  readInteger,
  readSwitch,
  readVariable as read,
  readWith,
} from './env.ts'
import type { NetworkConfig } from './network-config.ts'

export type DhcpConfig = { mode: 'off' } | { mode: 'proxy' } | DhcpServerConfig

export interface DhcpServerConfig {
  mode: 'server'
  range: Ipv4Range
  router: Ipv4 | undefined
  dns: Ipv4[]
  leaseSeconds: number
  /** Start although another DHCP server answers. */
  force: boolean
}

const DEFAULT_LEASE_SECONDS = 3600
const SHORTEST_LEASE_SECONDS = 10
/** RFC 2131 §3.3: all ones would mean for ever. */
const LONGEST_LEASE_SECONDS = 2 ** 31

/** Of mode `server` alone. */
export const DHCP_SETTINGS = [
  'STAMPEDE_DHCP_RANGE',
  'STAMPEDE_DHCP_ROUTER',
  'STAMPEDE_DHCP_DNS',
  'STAMPEDE_DHCP_LEASE_SECONDS',
  'STAMPEDE_DHCP_FORCE',
]

export function readDhcp(
  env: Env,
  mode: DhcpConfig['mode'],
  network: NetworkConfig | undefined,
): DhcpConfig {
  if (mode !== 'server') {
    const stray = DHCP_SETTINGS.find((name) => read(env, name))
    if (stray)
      throw new ConfigError(`${stray} is set, which is for STAMPEDE_DHCP=server only, not ${mode}`)
    return { mode }
  }
  assert(network, 'a network is there whenever DHCP is on')
  const dns = readAddresses(env, 'STAMPEDE_DHCP_DNS', 16)
  refuseUnknownName(env, dns)
  return {
    mode,
    range: readRange(env, network),
    router: readRouter(env, network),
    dns,
    leaseSeconds: readInteger(env, 'STAMPEDE_DHCP_LEASE_SECONDS', {
      least: SHORTEST_LEASE_SECONDS,
      most: LONGEST_LEASE_SECONDS,
      absent: DEFAULT_LEASE_SECONDS,
    }),
    force: readSwitch(env, 'STAMPEDE_DHCP_FORCE'),
  }
}

function readRange(env: Env, { cidr, interface: name }: NetworkConfig): Ipv4Range {
  const text = read(env, 'STAMPEDE_DHCP_RANGE')
  if (text === undefined)
    throw new ConfigError('STAMPEDE_DHCP_RANGE must say which addresses to lease, as first-last')
  const range = readWith('STAMPEDE_DHCP_RANGE', text, parseIpv4Range)
  const all = networkRange(cidr)
  if (range.start < all.start || range.end > all.end)
    throw new ConfigError(
      `STAMPEDE_DHCP_RANGE is "${text}" which is not within ${formatIpv4Cidr(cidr)}, the network of ${name}`,
    )
  if (rangeContains(range, cidr.address))
    throw new ConfigError(
      `STAMPEDE_DHCP_RANGE is "${text}" which holds ${cidr.address}, our own address`,
    )
  return range
}

/** RFC 2132 §3.5: routers on the client's subnet; it could reach no other. */
function readRouter(env: Env, { cidr, interface: name }: NetworkConfig): Ipv4 | undefined {
  const [router] = readAddresses(env, 'STAMPEDE_DHCP_ROUTER', 1)
  if (router !== undefined && !rangeContains(networkRange(cidr), router))
    throw new ConfigError(
      `STAMPEDE_DHCP_ROUTER is "${router}" which is not within ${formatIpv4Cidr(cidr)}, the network of ${name}`,
    )
  return router
}

/** Machines know no other name servers than those that we tell them of. */
function refuseUnknownName(env: Env, dns: readonly Ipv4[]): void {
  const text = read(env, 'STAMPEDE_URL')
  if (text === undefined || dns.length > 0 || !URL.canParse(text)) return
  const { hostname } = new URL(text)
  if (isIP(hostname.replace(/^\[|\]$/g, '')) === 0)
    throw new ConfigError(
      `STAMPEDE_URL is "${text}" but machines are told of no name server that knows "${hostname}"; set STAMPEDE_DHCP_DNS, or use the address`,
    )
}

function readAddresses(env: Env, name: string, most: number): Ipv4[] {
  const text = read(env, name)
  if (text === undefined) return []
  const addresses = text.split(',').map((part) => readWith(name, part.trim(), parseIpv4))
  if (addresses.length > most)
    throw new ConfigError(`${name} is "${text}" but may hold ${most} at most`)
  return addresses
}
