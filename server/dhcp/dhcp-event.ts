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

/** A machine that asks by DHCP; without `firmware` it is running something already. */
export interface SeenMachine {
  mac: Mac
  stage: 'dhcp'
  firmware?: Firmware
}

/** Distinct events are stored by whoever listens, so a flood of made-up machines has to be stopped here. */
const WINDOW_MS = 60_000
const MAX_IN_WINDOW = 30

/** Tells whether an event of this key may pass: each once a minute, and 30 in all. */
export function createThrottle(): (key: string, now: Date) => boolean {
  const passed = new Set<string>()
  let windowStart = 0
  return (key, now) => {
    if (now.getTime() - windowStart >= WINDOW_MS) {
      passed.clear()
      windowStart = now.getTime()
    }
    if (passed.has(key) || passed.size >= MAX_IN_WINDOW) return false
    passed.add(key)
    return true
  }
}
