import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'

/**
 * `offered`: held for a machine that has not yet asked for it. `bound`: in use. `released`: given
 * back, kept so that the machine gets the same address again. `declined`: somebody else answers
 * under the address, so nobody gets it until it expires.
 */
export type LeaseState = 'offered' | 'bound' | 'released' | 'declined'

export interface Lease {
  mac: Mac
  address: Ipv4
  state: LeaseState
  /** What the machine calls itself (option 12), if it told us. */
  hostname?: string
  /** After this moment the address may go to another machine. */
  expiresAt: Date
}

/** An address that only this machine gets, reserved or written into its system; it need not lie in the pool's range. */
export interface Reservation {
  mac: Mac
  address: Ipv4
  /** What the machine is told that it is called. */
  hostname?: string
}

/**
 * Where leases live, and outlive a restart. An address has at most one lease, and a machine at
 * most one that is not `declined`.
 */
export interface LeaseStore {
  /** The machine's lease, expired or released ones too, never a declined one. */
  findByMac(mac: Mac): Promise<Lease | undefined>
  /** The lease of an address, whatever its state. */
  findByAddress(address: Ipv4): Promise<Lease | undefined>
  /** All leases, whatever their state. */
  list(): Promise<Lease[]>
  /**
   * Stores the lease under its address, and removes the machine's other leases that are not
   * declined (unless this one is). Atomic; false, and nothing changed, if at `now` the address is
   * held for another machine.
   */
  save(lease: Lease, now: Date): Promise<boolean>
}

/** Whether at `now` nobody but the lease's machine may have its address. */
export function isHeld(lease: Lease, now: Date): boolean {
  return lease.state !== 'released' && lease.expiresAt > now
}
