import { asc, isNotNull } from 'drizzle-orm'
import { type Ipv4, type Ipv4Cidr, isHostAddress, parseIpv4Cidr } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database } from '../database.ts'
import { machines } from '../schema.ts'
import { listReservations } from './reservations.ts'

export interface HeldAddress {
  mac: Mac
  address: Ipv4
  hostname?: string
}

/**
 * Addresses that are one machine's alone: those reserved for it, first, and those that deployed systems have for
 * themselves, which a machine that is switched off would lose to the next that asks for one.
 */
export async function listHeldAddresses(db: Database, served: Ipv4Cidr): Promise<HeldAddress[]> {
  const reserved = (await listReservations(db)).map(({ mac, address, hostname }) => ({
    mac,
    address,
    ...(hostname !== null && { hostname }),
  }))
  const taken = new Set([served.address, ...reserved.map(({ address }) => address)])
  const own: HeldAddress[] = []
  for (const { mac, network } of await listNetworks(db)) {
    const { address } = parseIpv4Cidr(network!.address)
    if (taken.has(address) || !isHostAddress(served, address)) continue
    taken.add(address)
    own.push({ mac, address })
  }
  return [...reserved, ...own]
}

async function listNetworks(db: Database) {
  return db
    .select({ mac: machines.mac, network: machines.network })
    .from(machines)
    .where(isNotNull(machines.network))
    .orderBy(asc(machines.mac))
}
