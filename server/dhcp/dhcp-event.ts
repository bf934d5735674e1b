import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Firmware } from '#server/boot/firmware.ts'
import type { Lease } from './lease-store.ts'

/** What an operator may want to know. */
export type DhcpEvent =
  /** A lease is new or has changed; an offered one may come to nothing. */
  | { kind: 'lease'; lease: Lease }
  /** The machine got no address: raise the range or release leases. */
  | { kind: 'pool-exhausted'; mac: Mac }
  /** Somebody outside our leases uses an address of the pool; it is set aside. */
  | { kind: 'address-in-use'; address: Ipv4; holder: Mac }
  /** A machine asks another DHCP server for the address that it was offered there. */
  | { kind: 'other-server'; address: Ipv4 }
  /**
   * The machine wants to boot, and nothing here fits it: one of the `wanted` files would. Without `firmware`
   * its architectures (option 93) are none that we know.
   */
  | {
      kind: 'no-boot-file'
      mac: Mac
      firmware?: Firmware
      architectures: number[]
      wanted: readonly string[]
    }

/**
 * A machine that asks by DHCP; without `firmware` it is running something already. Told again after ten
 * seconds at the earliest.
 */
export interface SeenMachine {
  mac: Mac
  stage: 'dhcp'
  /** `unknown`: it boots from the network, with an architecture that we have never heard of. */
  firmware?: Firmware | 'unknown'
}
