import { type DhcpPacket, NO_ADDRESS } from '#protocol/dhcp/dhcp.ts'
import { findAddress, findHostname, findMac, findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { DHCP_OPTION } from '#protocol/dhcp/dhcp-fields.ts'
import { type Ipv4, isHostAddress } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import { isHeld, type Lease, type Reservation } from './lease-store.ts'
import { isUsable } from './pool.ts'
import type { ServerSettings } from './settings.ts'

/** How long an offered address waits for the machine's REQUEST. UEFI takes up to 8 s to choose. */
export const OFFER_SECONDS = 30

/** How long an address rests after a machine found somebody else under it. */
export const DECLINE_SECONDS = 3600

/** What we know about the machine that asks. */
export interface DhcpState {
  /** The machine's lease, as LeaseStore.findByMac gives it. */
  lease?: Lease
  reservations: readonly Reservation[]
}

export type Decision =
  /** Say nothing. */
  | { kind: 'ignore'; reason: string }
  /** The machine needs an address that it does not have yet; try `preferred` first. */
  | { kind: 'allocate'; preferred: readonly Ipv4[]; hostname?: string }
  | { kind: 'offer'; lease: Lease }
  /** Answer if the lease can be saved; it is somebody else's otherwise. */
  | { kind: 'ack'; lease: Lease }
  | { kind: 'nak'; reason: string }
  /** The machine has an address from elsewhere and wants the rest. */
  | { kind: 'inform' }
  /** Released or declined: remember it, there is no answer. */
  | { kind: 'end'; lease: Lease }

interface Request {
  packet: DhcpPacket
  mac: Mac
  state: DhcpState
  settings: ServerSettings
  now: Date
}

/** What mode `server` does about a packet (RFC 2131 4.3). Throws DhcpDecodeError for a bad option. */
export function decide(
  packet: DhcpPacket,
  state: DhcpState,
  settings: ServerSettings,
  now: Date,
): Decision {
  if (packet.op !== 'request') return ignore('Not a request')
  const mac = findMac(packet)
  if (!mac) return ignore('Not from Ethernet')
  if (packet.giaddr !== NO_ADDRESS && !isHostAddress(settings.network, packet.giaddr))
    return ignore('The relay is in a network that has no pool here')
  const request = { packet, mac, state, settings, now }
  const message = findMessage(packet)
  switch (message) {
    case 'discover':
      return discover(request)
    case 'request':
      return answerRequest(request)
    case 'decline':
      return decline(request)
    case 'release':
      return release(request)
    case 'inform':
      return inform(request)
    case 'offer':
    case 'ack':
    case 'nak':
    case undefined:
      return ignore('Not a message from a client')
  }
}

/** RFC 2131 4.3.1. The machine's reservation wins, then what it had, then what it asks for. */
function discover({ packet, mac, state, settings, now }: Request): Decision {
  const { lease, reservations } = state
  const reserved = reservations.find((candidate) => candidate.mac === mac)?.address
  const requested = findAddress(packet, DHCP_OPTION.requestedAddress)
  const preferred = [reserved, lease?.address, requested].filter(
    (address) => address !== undefined && isUsable(address, mac, reservations, settings),
  ) as Ipv4[]
  const hostname = findHostname(packet)
  if (!lease || lease.address !== preferred[0]) return { kind: 'allocate', preferred, hostname }
  // An offer must not shorten a lease: the machine may choose another server and keep the address.
  if (lease.state === 'bound' && isHeld(lease, now)) return { kind: 'offer', lease }
  return {
    kind: 'offer',
    lease: {
      ...lease,
      ...(hostname && { hostname }),
      state: 'offered',
      expiresAt: after(now, OFFER_SECONDS),
    },
  }
}

/** RFC 2131 4.3.2: four states of the client in one message, told apart by what it fills in. */
function answerRequest(request: Request): Decision {
  const { packet } = request
  const serverId = findAddress(packet, DHCP_OPTION.serverId)
  const requested = findAddress(packet, DHCP_OPTION.requestedAddress)
  if (serverId !== undefined) return select(request, serverId, requested)
  if (requested !== undefined) return initReboot(request, requested)
  if (packet.ciaddr !== NO_ADDRESS) return renew(request)
  return requestBlindly(request)
}

/**
 * Names neither server nor address, against RFC 2131: npm's "dhcp" answers an offer so. It can only mean
 * what we offered it.
 */
function requestBlindly(request: Request): Decision {
  const { mac, state, settings, now } = request
  const { lease, reservations } = state
  if (!lease || !isHeld(lease, now)) return ignore('A request for no address')
  if (!isUsable(lease.address, mac, reservations, settings))
    return { kind: 'nak', reason: 'That address is not yours any more' }
  return bind(request, lease.address)
}

/** SELECTING. */
function select(request: Request, serverId: Ipv4, requested: Ipv4 | undefined): Decision {
  const { packet, mac, state, settings, now } = request
  const { lease, reservations } = state
  if (serverId !== settings.address) {
    if (lease?.state !== 'offered') return ignore('The machine chose another server')
    return { kind: 'end', lease: { ...lease, state: 'released', expiresAt: now } }
  }
  const address = requested ?? packet.ciaddr
  if (lease?.address !== address) return { kind: 'nak', reason: 'That address was not offered' }
  if (!isUsable(address, mac, reservations, settings))
    return { kind: 'nak', reason: 'That address is not yours any more' }
  return bind(request, address)
}

/** INIT-REBOOT. Silent about machines that we do not know, as RFC 2131 demands. */
function initReboot(request: Request, address: Ipv4): Decision {
  const { mac, state, settings } = request
  if (!isHostAddress(settings.network, address))
    return { kind: 'nak', reason: 'That address is not in this network' }
  const known = state.lease ?? state.reservations.find((candidate) => candidate.mac === mac)
  if (!known) return ignore('No record of the machine')
  const reserved = state.reservations.find((candidate) => candidate.mac === mac)?.address
  const own = reserved ?? known.address
  if (own !== address || !isUsable(address, mac, state.reservations, settings))
    return { kind: 'nak', reason: 'That address is not yours any more' }
  return bind(request, address)
}

/**
 * RENEWING (unicast) and REBINDING (broadcast). The machine uses the address at this moment, so one
 * of ours that we lost the record of is recorded again, and a new reservation waits for the next boot.
 */
function renew(request: Request): Decision {
  const { packet, mac, state, settings } = request
  const { lease, reservations } = state
  if (lease && lease.address !== packet.ciaddr)
    return { kind: 'nak', reason: 'That address is not yours any more' }
  if (!isUsable(packet.ciaddr, mac, reservations, settings))
    return { kind: 'nak', reason: 'That address is not given out here' }
  return bind(request, packet.ciaddr)
}

function bind({ packet, mac, state, settings, now }: Request, address: Ipv4): Decision {
  const hostname = findHostname(packet) ?? state.lease?.hostname
  const expiresAt = after(now, settings.pool.leaseSeconds)
  const lease: Lease = { mac, address, state: 'bound', ...(hostname && { hostname }), expiresAt }
  return { kind: 'ack', lease }
}

/** RFC 2131 4.3.3. Only about an address that the machine got from us, or anybody could drain the pool. */
function decline({ packet, state, settings, now }: Request): Decision {
  const { lease } = state
  const address = findAddress(packet, DHCP_OPTION.requestedAddress)
  if ((findAddress(packet, DHCP_OPTION.serverId) ?? settings.address) !== settings.address)
    return ignore('A message to another server')
  if (!lease || lease.address !== address) return ignore('Declines an address that it did not get')
  return {
    kind: 'end',
    lease: { ...lease, state: 'declined', expiresAt: after(now, DECLINE_SECONDS) },
  }
}

/** RFC 2131 4.3.4. */
function release({ packet, state, settings, now }: Request): Decision {
  const { lease } = state
  if ((findAddress(packet, DHCP_OPTION.serverId) ?? settings.address) !== settings.address)
    return ignore('A message to another server')
  if (!lease || lease.address !== packet.ciaddr)
    return ignore('Releases an address that it did not get')
  return { kind: 'end', lease: { ...lease, state: 'released', expiresAt: now } }
}

/** RFC 2131 4.3.5. */
function inform({ packet, settings }: Request): Decision {
  if (!isHostAddress(settings.network, packet.ciaddr))
    return ignore('Asks about a network that is not ours')
  return { kind: 'inform' }
}

const ignore = (reason: string): Decision => ({ kind: 'ignore', reason })

function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000)
}
