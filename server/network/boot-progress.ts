import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { BootStep } from '#protocol/machine/boot-progress.ts'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import { firmwareText, type Firmware } from '../boot/firmware.ts'
import type { NetworkConfig } from '../settings/network-config.ts'
import type { Database } from '../db/database.ts'
import { findLeaseholder } from '../db/network/leases.ts'
import { recordBootStep } from '../db/machines/machine-boot.ts'
import { seeMachine } from '../db/machines/machines.ts'
import { findNeighbour, ipv4Of, isOnLink } from './neighbours.ts'

export interface BootProgressOptions {
  db: Database
  network: NetworkConfig | undefined
  log: FastifyBaseLogger
  now: () => Date
}

/** Follows machines on their way to the agent, for as long as no agent tells of itself. */
export interface BootProgress extends AsyncDisposable {
  /** A machine asks by DHCP; without firmware it runs something already, and is none of ours. */
  dhcp(mac: Mac, firmware: Firmware | 'unknown' | undefined): void
  /** Somebody fetches a file of a boot: whose that is, the address has to tell. */
  file(remoteAddress: string, file: { stage: 'loader' | 'kernel'; detail: string }): void
  /** The machine at this address proved its MAC. */
  remember(remoteAddress: string, mac: Mac): void
}

/** What waits to be written. In a flood some is not: real machines ask again. */
const MAX_PENDING = 256
/** Machines whose addresses are known of late, and for how long they are believed. */
const MAX_ADDRESSES = 4096
const ADDRESS_SECONDS = 15 * 60
/** The kernel learns the card behind an address when it answers it, so a first look may be too early. */
const LOOK_PAUSES_MILLISECONDS = [0, 200, 1000]

/** Steps are written one after the other: in their order, and never more than one at a time. */
export function openBootProgress(options: BootProgressOptions): BootProgress {
  const { db, log, now } = options
  const addresses = new Map<string, { mac: Mac; at: Date }>()
  /** Whose addresses are being looked up: firmware asks for its file more than once. */
  const looking = new Set<string>()
  const stop = new AbortController()
  let pending = 0
  let last = Promise.resolve()

  function enqueue(what: object, work: () => Promise<void>): void {
    if (pending >= MAX_PENDING || stop.signal.aborted) return
    pending += 1
    last = last
      .then(work)
      .catch((err: unknown) => log.error({ err, ...what }, 'Failed to remember a machine'))
      .finally(() => (pending -= 1))
  }

  async function macOf(address: Ipv4): Promise<Mac | undefined> {
    const holder = await findLeaseholder(db, address, now())
    if (holder) return holder
    const neighbour = await neighbourAt(options.network, address)
    if (neighbour) return neighbour
    const known = addresses.get(address)
    const isFresh = known && now().getTime() - known.at.getTime() < ADDRESS_SECONDS * 1000
    return isFresh ? known.mac : undefined
  }

  async function findMac(address: Ipv4): Promise<Mac | undefined> {
    for (const milliseconds of LOOK_PAUSES_MILLISECONDS) {
      await sleep(milliseconds, undefined, { signal: stop.signal }).catch(() => {})
      const mac = await macOf(address)
      if (mac || stop.signal.aborted) return mac
    }
    return undefined
  }

  async function fetched(address: Ipv4, step: BootStep): Promise<void> {
    const mac = await findMac(address)
    if (mac) enqueue({ mac }, () => recordBootStep(db, mac, step, { creates: false }))
  }

  return {
    dhcp(mac, firmware) {
      const at = now()
      if (firmware === undefined)
        return enqueue({ mac }, () => seeMachine(db, mac, at, { creates: false }))
      const stage = firmware === 'ipxe' ? 'ipxe' : 'dhcp'
      const step: BootStep = { stage, at, detail: firmwareText(firmware) }
      return enqueue({ mac }, () => recordBootStep(db, mac, step, { creates: true }))
    },

    file(remoteAddress, { stage, detail }) {
      const address = ipv4Of(remoteAddress)
      if (!address || looking.size >= MAX_PENDING || looking.has(address)) return
      looking.add(address)
      void fetched(address, { stage, at: now(), detail })
        .catch((err: unknown) => log.error({ err, address }, 'Failed to tell whose address it is'))
        .finally(() => looking.delete(address))
    },

    remember(remoteAddress, mac) {
      const address = ipv4Of(remoteAddress)
      if (!address) return
      addresses.delete(address) // to the end: the oldest is forgotten first
      addresses.set(address, { mac, at: now() })
      if (addresses.size > MAX_ADDRESSES) addresses.delete(addresses.keys().next().value!)
    },

    async [Symbol.asyncDispose]() {
      stop.abort()
      await last
    },
  }
}

async function neighbourAt(
  network: NetworkConfig | undefined,
  address: Ipv4,
): Promise<Mac | undefined> {
  if (!network || !isOnLink(network, address)) return undefined
  return findNeighbour(network.interface, address)
}
