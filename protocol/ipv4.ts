/** An IPv4 address in the one form we store, compare and print: `10.0.0.1`. */
export type Ipv4 = string & { readonly __ipv4: unique symbol }

/** Addresses as numbers, half-open: the range `10.0.0.10-10.0.0.19` ends at the number of `.20`. */
export interface Ipv4Range {
  start: number
  end: number
}

/** An address with the length of its network's prefix, as an interface has it: `10.0.0.1/24`. */
export interface Ipv4Cidr {
  address: Ipv4
  prefixLength: number
}

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'

/** No leading zeros: `010` is 8 to some programs and 10 to others. */
export const IPV4_PATTERN = `^${OCTET}(\\.${OCTET}){3}$`

const IPV4_REGEXP = new RegExp(IPV4_PATTERN)

/** Throws TypeError for anything that is not four decimal octets. */
export function parseIpv4(text: string): Ipv4 {
  if (!IPV4_REGEXP.test(text)) throw new TypeError(`Not an IPv4 address: "${text}"`)
  return text as Ipv4 // with formatIpv4 the only casts to Ipv4 in the codebase
}

/** The address of a number in [0, 2 ** 32). */
export function formatIpv4(value: number): Ipv4 {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32)
    throw new RangeError(`Not the number of an IPv4 address: ${value}`)
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.') as Ipv4
}

export function ipv4ToNumber(address: Ipv4): number {
  return address.split('.').reduce((value, octet) => value * 256 + Number(octet), 0)
}

/** Reads `first-last`, both included, as people write it. Throws TypeError. */
export function parseIpv4Range(text: string): Ipv4Range {
  const [first, last, ...rest] = text.split('-').map((part) => part.trim())
  if (first === undefined || last === undefined || rest.length > 0)
    throw new TypeError(`Not a range of IPv4 addresses (first-last): "${text}"`)
  const start = ipv4ToNumber(parseIpv4(first))
  const end = ipv4ToNumber(parseIpv4(last)) + 1
  if (end <= start) throw new TypeError(`The range "${text}" ends before it begins`)
  return { start, end }
}

export function formatIpv4Range(range: Ipv4Range): string {
  return `${formatIpv4(range.start)}-${formatIpv4(range.end - 1)}`
}

export function rangeContains(range: Ipv4Range, address: Ipv4): boolean {
  const value = ipv4ToNumber(address)
  return value >= range.start && value < range.end
}

/** Reads `10.0.0.1/24`. Throws TypeError. */
export function parseIpv4Cidr(text: string): Ipv4Cidr {
  const [, address, prefix] = /^([0-9.]+)\/(3[0-2]|[12]?[0-9])$/.exec(text) ?? []
  if (address === undefined) throw new TypeError(`Not an IPv4 address with prefix: "${text}"`)
  return { address: parseIpv4(address), prefixLength: Number(prefix) }
}

export function formatIpv4Cidr({ address, prefixLength }: Ipv4Cidr): string {
  return `${address}/${prefixLength}`
}

/** `24` is `255.255.255.0`. */
export function netmaskOf(prefixLength: number): Ipv4 {
  return formatIpv4(2 ** 32 - 2 ** (32 - prefixLength))
}

/** Every address of the network, its own and the broadcast address included. */
export function networkRange({ address, prefixLength }: Ipv4Cidr): Ipv4Range {
  const size = 2 ** (32 - prefixLength)
  const start = Math.floor(ipv4ToNumber(address) / size) * size
  return { start, end: start + size }
}

/** Where a packet for the whole network goes: `10.0.0.1/24` has `10.0.0.255`. */
export function broadcastOf(cidr: Ipv4Cidr): Ipv4 {
  return formatIpv4(networkRange(cidr).end - 1)
}

/** Whether a machine of the network may have the address: not its first, not its last. */
export function isHostAddress(cidr: Ipv4Cidr, address: Ipv4): boolean {
  const { start, end } = networkRange(cidr)
  const value = ipv4ToNumber(address)
  if (cidr.prefixLength >= 31) return value >= start && value < end // RFC 3021
  return value > start && value < end - 1
}
