import { BlockList, isIP } from 'node:net'
import { lookup as lookupName } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import { ImageRefusedError } from './import-error.ts'

/**
 * Where the server does not go for whoever asks it to fetch something: to itself, and to what answers only
 * on a link (clouds hand out credentials at 169.254.169.254). A mirror on a private network is what
 * labs have, and fine.
 */
const REFUSED = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3], // multicast, reserved, broadcast
] as const)
  REFUSED.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 127], // unspecified and loopback
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  REFUSED.addSubnet(network, prefix, 'ipv6')

/** Also of an IPv4 address that is written as an IPv6 one. */
export function isRefusedAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 0) return true
  const type = family === 4 ? 'ipv4' : 'ipv6'
  return REFUSED.check(address, type) || ownAddresses().check(address, type)
}

/** As they are now: a laptop that serves a lab changes them. */
function ownAddresses(): BlockList {
  const own = new BlockList()
  for (const { address, family } of Object.values(networkInterfaces()).flatMap(
    (each) => each ?? [],
  ))
    own.addAddress(address, family === 'IPv4' ? 'ipv4' : 'ipv6')
  return own
}

/** Throws ImageRefusedError for an address; a name is looked at when it is resolved. */
export function checkHost({ hostname }: URL): void {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && isRefusedAddress(host)) throw refused(host, host)
}

/**
 * Resolves names as ever, but only to addresses that may be gone to: what is checked is what is then
 * connected to, so that a name which means something else a moment later gains nothing.
 */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookupName(hostname, { ...options, all: true }, (err, found) => {
    if (err) return callback(err, '')
    const bad = found.find(({ address }) => isRefusedAddress(address))
    if (bad) return callback(refused(hostname, bad.address), '')
    if (options.all) return callback(null, found)
    const [first] = found
    return callback(null, first!.address, first!.family)
  })
}

function refused(host: string, address: string): ImageRefusedError {
  return new ImageRefusedError(
    'refused-url',
    `${host === address ? address : `${host} is ${address}, which`} is this server itself or only on its link; name another server, or allow it with STAMPEDE_PULL_LOCAL=1`,
  )
}
