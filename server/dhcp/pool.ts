import { formatIpv4, type Ipv4, isHostAddress, rangeContains } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import { isHeld, type Lease, type Reservation } from './lease-store.ts'
import type { ServerSettings } from './settings.ts'

/** Whether the address may be this machine's at all, whoever has it now. */
export function isUsable(
  address: Ipv4,
  mac: Mac,
  reservations: readonly Reservation[],
  settings: ServerSettings,
): boolean {
  const reservation = reservations.find((candidate) => candidate.address === address)
  return fits(address, reservation && reservation.mac === mac, settings)
}

/** `reserved`: true for this machine, false for another, undefined for nobody. */
function fits(address: Ipv4, reserved: boolean | undefined, settings: ServerSettings): boolean {
  if (!isHostAddress(settings.network, address) || address === settings.address) return false
  if (reserved !== undefined) return reserved
  const { range, router, nameServers } = settings.pool
  return rangeContains(range, address) && address !== router && !nameServers.includes(address)
}

/**
 * The address to offer: the first of `preferred` that is free, else one that nobody ever had, else
 * the one that has been free the longest, so that a machine that comes back late still finds its own.
 */
export function chooseAddress(
  request: {
    mac: Mac
    preferred: readonly Ipv4[]
    leases: readonly Lease[]
    reservations: readonly Reservation[]
    now: Date
  },
  settings: ServerSettings,
): Ipv4 | undefined {
  const { mac, preferred, now } = request
  const reservedFor = new Map(request.reservations.map((one) => [one.address, one.mac]))
  const leases = new Map(request.leases.map((lease) => [lease.address, lease]))
  const isFree = (address: Ipv4) => {
    const owner = reservedFor.get(address)
    if (!fits(address, owner && owner === mac, settings)) return false
    const lease = leases.get(address)
    // A machine's own declined address is as bad for it as for anybody else.
    return !lease || !isHeld(lease, now) || (lease.mac === mac && lease.state !== 'declined')
  }
  const first = preferred.find(isFree)
  if (first) return first

  let oldest: Lease | undefined
  for (let value = settings.pool.range.start; value < settings.pool.range.end; value += 1) {
    const address = formatIpv4(value)
    if (!isFree(address)) continue
    const lease = leases.get(address)
    if (!lease) return address
    if (!oldest || lease.expiresAt < oldest.expiresAt) oldest = lease
  }
  return oldest?.address
}
