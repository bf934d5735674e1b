import type { DhcpPacket } from '#protocol/dhcp/dhcp.ts'
import { findMac } from '#protocol/dhcp/dhcp-options.ts'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Logger } from 'pino'
import { type BootFields, bootFields, bootFor, clientOf, NO_BOOT } from './boot-options.ts'
import { DECLINE_SECONDS, type Decision, decide, OFFER_SECONDS } from './decide.ts'
import type { DhcpEvent } from './dhcp-event.ts'
import type { Lease, LeaseStore, Reservation } from './lease-store.ts'
import { chooseAddress } from './pool.ts'
import { createAnswer, createNak } from './reply.ts'
import type { ServerSettings } from './settings.ts'

export type DhcpLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export interface LeaseServerOptions {
  settings: ServerSettings
  leases: LeaseStore
  reservations: () => Promise<readonly Reservation[]>
  /** Who answers under an address, whatever our leases say. */
  findHolder: (address: Ipv4) => Promise<Mac | undefined>
  emit: (event: DhcpEvent) => void
  log: DhcpLog
}

/** How many addresses that turn out to be in use, one machine's DISCOVER may try: half a second each. */
const MAX_TRIES = 4

/** Mode `server`: does what `decide` decides, and returns the answer to send, if any. */
export async function serveLease(
  packet: DhcpPacket,
  options: LeaseServerOptions,
): Promise<DhcpPacket | undefined> {
  const { settings, leases, log } = options
  const mac = findMac(packet)
  const reservations = await options.reservations()
  const lease = mac && (await leases.findByMac(mac))
  const decision = decide(packet, { lease, reservations }, settings, new Date())
  switch (decision.kind) {
    case 'ignore':
      log.debug({ mac, reason: decision.reason }, 'Ignoring DHCP packet')
      return undefined
    case 'allocate':
      return await allocate(packet, mac!, decision, reservations, options)
    case 'offer':
      return await offer(packet, decision.lease, reservations, options)
    case 'ack':
      return await acknowledge(packet, decision.lease, reservations, options)
    case 'nak':
      log.info({ mac, reason: decision.reason }, 'Refused a DHCP request')
      return createNak(packet, decision.reason, settings.address)
    case 'inform':
      return answer(packet, 'ack', undefined, reservations, settings)
    case 'end':
      await save(decision.lease, options)
      return undefined
  }
}

/**
 * Finds an address for a machine that has none. It is saved before it is probed, so that no other
 * machine gets it meanwhile.
 */
async function allocate(
  packet: DhcpPacket,
  mac: Mac,
  wanted: Extract<Decision, { kind: 'allocate' }>,
  reservations: readonly Reservation[],
  options: LeaseServerOptions,
): Promise<DhcpPacket | undefined> {
  const { settings, leases, log, emit } = options
  const { preferred, hostname } = wanted
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const now = new Date()
    const known = { mac, preferred, reservations, now, leases: await leases.list() }
    const address = chooseAddress(known, settings)
    if (!address) {
      log.debug({ mac }, 'No free address in the DHCP range')
      emit({ kind: 'pool-exhausted', mac })
      return undefined
    }
    const lease: Lease = {
      mac,
      address,
      state: 'offered',
      ...(hostname && { hostname }),
      expiresAt: after(OFFER_SECONDS),
    }
    if (!(await save(lease, options))) continue
    const holder = await options.findHolder(address)
    if (!holder || holder === mac) return answer(packet, 'offer', lease, reservations, settings)
    log.debug({ address, holder }, 'Address is in use by a machine that has no lease')
    emit({ kind: 'address-in-use', address, holder })
    await save({ ...lease, state: 'declined', expiresAt: after(DECLINE_SECONDS) }, options)
  }
  return undefined
}

async function offer(
  packet: DhcpPacket,
  lease: Lease,
  reservations: readonly Reservation[],
  options: LeaseServerOptions,
): Promise<DhcpPacket | undefined> {
  const { settings } = options
  if (lease.state === 'offered' && !(await save(lease, options))) return undefined
  return answer(packet, 'offer', lease, reservations, settings)
}

async function acknowledge(
  packet: DhcpPacket,
  lease: Lease,
  reservations: readonly Reservation[],
  options: LeaseServerOptions,
): Promise<DhcpPacket> {
  const { settings } = options
  if (await save(lease, options)) return answer(packet, 'ack', lease, reservations, settings)
  return createNak(packet, 'That address is another machine’s', settings.address)
}

async function save(lease: Lease, { leases, emit, log }: LeaseServerOptions): Promise<boolean> {
  if (!(await leases.save(lease, new Date()))) return false
  const { mac, address, state } = lease
  log.info({ mac, address, state }, 'DHCP lease')
  emit({ kind: 'lease', lease })
  return true
}

/** What the machine boots goes with it, and what its reservation calls it. */
function answer(
  packet: DhcpPacket,
  message: 'offer' | 'ack',
  lease: Lease | undefined,
  reservations: readonly Reservation[],
  settings: ServerSettings,
): DhcpPacket {
  const mac = findMac(packet)
  const hostname = reservations.find((one) => one.mac === mac)?.hostname
  return createAnswer(packet, message, lease, bootOf(packet, settings), settings, hostname)
}

function bootOf(packet: DhcpPacket, settings: ServerSettings): BootFields {
  const mac = findMac(packet)
  const client = clientOf(packet)
  const answer = mac && bootFor(client, mac, settings.boot)
  if (!answer || client.kind !== 'known') return NO_BOOT
  return bootFields(packet, answer, client.firmware, 'server', settings)
}

function after(seconds: number): Date {
  return new Date(Date.now() + seconds * 1000)
}
