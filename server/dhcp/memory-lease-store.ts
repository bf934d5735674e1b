import type { Ipv4 } from '#protocol/ipv4.ts'
import { isHeld, type Lease, type LeaseStore } from './lease-store.ts'

/** Leases for as long as the process lives: for tests and the lab. */
export function createMemoryLeaseStore(): LeaseStore {
  const leases = new Map<Ipv4, Lease>()
  return {
    async findByMac(mac) {
      return leases.values().find((lease) => lease.mac === mac && lease.state !== 'declined')
    },
    async findByAddress(address) {
      return leases.get(address)
    },
    async list() {
      return [...leases.values()]
    },
    async save(lease, now) {
      const present = leases.get(lease.address)
      if (present && present.mac !== lease.mac && isHeld(present, now)) return false
      if (lease.state !== 'declined')
        for (const other of leases.values())
          if (other.mac === lease.mac && other.state !== 'declined') leases.delete(other.address)
      leases.set(lease.address, { ...lease })
      return true
    },
  }
}
