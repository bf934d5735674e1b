import { networkInterfaces } from 'node:os'
import { formatIpv4, rangeContains, type Ipv4Cidr, type Ipv4Range } from '#protocol/ipv4.ts'
import type { NetworkStatus } from '#protocol/network-status.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { listHeldAddresses } from '../db/network/held-addresses.ts'
import { createDatabaseLeaseStore } from '../db/network/leases.ts'
import { listOtherDhcpServers } from '../db/network/other-dhcp-servers.ts'
import type { DhcpServerConfig } from '../settings/dhcp-config.ts'

export interface NetworkStatusOptions {
  config: Pick<Config, 'network' | 'dhcp' | 'unknown'>
  db: Database
  url: string
  tftp: string
  bootFileNames: () => Promise<ReadonlySet<string>>
  now: () => Date
}

/** How machines meet this server, at this moment. */
export async function readNetworkStatus(options: NetworkStatusOptions): Promise<NetworkStatus> {
  const { config, db, url, tftp, bootFileNames, now } = options
  const { network, dhcp, unknown } = config
  const others = await listOtherDhcpServers(db)
  return {
    url,
    interface: network?.interface ?? null,
    interfaces: listInterfaces(),
    dhcp:
      network && dhcp.mode === 'server'
        ? await readPool(db, network.cidr, dhcp, now())
        : { mode: dhcp.mode, dns: [] },
    otherServers: others.map(({ address, firstHeardAt, lastHeardAt }) => ({
      address,
      firstHeardAt: firstHeardAt.toISOString(),
      lastHeardAt: lastHeardAt.toISOString(),
    })),
    tftp,
    bootFiles: [...(await bootFileNames())].toSorted(),
    unknown,
  }
}

function listInterfaces(): NetworkStatus['interfaces'] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ family, internal, cidr }) => family === 'IPv4' && !internal && cidr)
      .map(({ mac, address, cidr }) => ({
        name,
        mac,
        address,
        prefix: Number(cidr!.split('/')[1]),
      })),
  )
}

async function readPool(
  db: Database,
  served: Ipv4Cidr,
  dhcp: DhcpServerConfig,
  now: Date,
): Promise<NetworkStatus['dhcp']> {
  const { range, router, dns, leaseSeconds } = dhcp
  const held = await listHeldAddresses(db, served)
  const leases = (await createDatabaseLeaseStore(db).list()).filter(
    ({ state, expiresAt }) => state !== 'released' && expiresAt > now,
  )
  return {
    mode: 'server',
    range: { first: formatIpv4(range.start), last: formatIpv4(range.end - 1) },
    ...(router && { router }),
    dns,
    leaseSeconds,
    pool: countPool(range, leases, held),
  }
}

type Pool = NonNullable<NetworkStatus['dhcp']['pool']>
type Held = { address: Parameters<typeof rangeContains>[1] }

/** What of the range is taken; each address counts once. */
export function countPool(
  range: Ipv4Range,
  leases: readonly (Held & { state: string })[],
  reservations: readonly Held[],
): Pool {
  const inRange = leases.filter(({ address }) => rangeContains(range, address))
  const held = new Set(inRange.map(({ address }) => address))
  const declined = inRange.filter(({ state }) => state === 'declined').length
  const reserved = reservations.filter(
    ({ address }) => rangeContains(range, address) && !held.has(address),
  ).length
  const size = range.end - range.start
  const leased = inRange.length - declined
  return { size, leased, declined, reserved, free: size - inRange.length - reserved }
}
