import type { FastifyBaseLogger } from 'fastify'
import type { Mac } from '#protocol/mac.ts'
import type { NetworkConfig } from '../settings/network-config.ts'
import type { Database } from '../db/database.ts'
import { isLeasedTo } from '../db/network/leases.ts'
import { findNeighbour, ipv4Of, isOnLink } from '../network/neighbours.ts'

export interface ProofOptions {
  db: Database
  network: NetworkConfig | undefined
  trustRelayed: boolean
  log: FastifyBaseLogger
  now: () => Date
}

/**
 * Whether who asks from an address has the MAC that it names: by our lease, or because the kernel
 * talks to that card under that address. Beyond the link nobody can tell, so there the operator decides.
 */
export function createProof({ db, network, trustRelayed, log, now }: ProofOptions) {
  return async (remoteAddress: string, mac: Mac): Promise<boolean> => {
    const address = ipv4Of(remoteAddress)
    if (address && (await isLeasedTo(db, address, mac, now()))) return true
    if (network && address && address !== network.cidr.address && isOnLink(network, address))
      return (await findNeighbour(network.interface, address)) === mac
    if (trustRelayed) log.warn({ mac, remoteAddress }, 'Trusting a MAC named from beyond the link')
    return trustRelayed
  }
}
