import { DhcpDecodeError } from './dhcp-error.ts'
import type { DhcpPacket } from './dhcp.ts'
import { DHCP_OPTION } from './dhcp-fields.ts'
import { formatIpv4, type Ipv4, ipv4ToNumber } from '../ipv4.ts'
import { type Mac, parseMac } from '../mac.ts'

/** Option 53, in the order of its numbers, which begin at 1. */
export const DHCP_MESSAGES = [
  'discover',
  'offer',
  'request',
  'decline',
  'ack',
  'nak',
  'release',
  'inform',
] as const

export type DhcpMessage = (typeof DHCP_MESSAGES)[number]

const ETHERNET = 1
const MAC_BYTES = 6

/** The client's MAC address, or undefined if its network is no Ethernet. */
export function findMac(packet: DhcpPacket): Mac | undefined {
  const { hardwareType, hardwareAddress } = packet
  if (hardwareType !== ETHERNET || hardwareAddress.length !== MAC_BYTES) return undefined
  return parseMac(Buffer.from(hardwareAddress).toString('hex'))
}

/** Undefined for plain BOOTP and for messages that we do not know (RFC 4388, 6926 and others). */
export function findMessage(packet: DhcpPacket): DhcpMessage | undefined {
  const number = findNumber(packet, DHCP_OPTION.messageType, 1)
  return number === undefined ? undefined : DHCP_MESSAGES[number - 1]
}

/** Throws DhcpDecodeError if the option is there with another length. */
export function findAddress(packet: DhcpPacket, code: number): Ipv4 | undefined {
  const value = findNumber(packet, code, 4)
  return value === undefined ? undefined : formatIpv4(value)
}

/** A big-endian number of so many bytes. Throws DhcpDecodeError if the option has another length. */
export function findNumber(packet: DhcpPacket, code: number, bytes: 1 | 2 | 4): number | undefined {
  const value = packet.options.get(code)
  if (value === undefined) return undefined
  if (value.length !== bytes)
    throw new DhcpDecodeError(`Option ${code} has ${bytes} bytes, here ${value.length}`)
  return value.reduce((number, byte) => number * 256 + byte, 0)
}

/** Text without the NUL that some clients end it with. */
export function findText(packet: DhcpPacket, code: number): string | undefined {
  const value = packet.options.get(code)
  return value && Buffer.from(value).toString('utf8').replace(/\0+$/, '')
}

/** Firmware lists one to three. */
const MAX_ARCHITECTURES = 16

const HOSTNAME_PATTERN = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/i

/** Option 12, if it is a name that one may store and show: anybody can send anything. */
export function findHostname(packet: DhcpPacket): string | undefined {
  const hostname = findText(packet, DHCP_OPTION.hostname)
  return hostname !== undefined && HOSTNAME_PATTERN.test(hostname) ? hostname : undefined
}

/** Option 93: the kinds of boot program that the firmware runs (RFC 4578 2.1), best first. */
export function findArchitectures(packet: DhcpPacket): number[] {
  const value = packet.options.get(DHCP_OPTION.clientArchitecture) ?? new Uint8Array()
  const pairs = Math.min(Math.floor(value.length / 2), MAX_ARCHITECTURES)
  return Array.from(
    { length: pairs },
    (_, index) => value[2 * index]! * 256 + value[2 * index + 1]!,
  )
}

/**
 * Option 77. RFC 3004 says a list of texts, each after its length, but iPXE and others send one
 * bare text: so it is a list only if the lengths add up exactly.
 */
export function findUserClasses(packet: DhcpPacket): string[] {
  const value = packet.options.get(DHCP_OPTION.userClass)
  if (!value || value.length === 0) return []
  return readUserClassList(value) ?? [findText(packet, DHCP_OPTION.userClass)!]
}

function readUserClassList(value: Uint8Array): string[] | undefined {
  const classes: string[] = []
  for (let at = 0; at < value.length;) {
    const length = value[at]!
    if (length === 0 || at + 1 + length > value.length) return undefined
    classes.push(Buffer.from(value.subarray(at + 1, at + 1 + length)).toString('utf8'))
    at += 1 + length
  }
  return classes
}

/** Whether the client asked for an option (55). */
export function asksFor(packet: DhcpPacket, code: number): boolean {
  return packet.options.get(DHCP_OPTION.parameterRequestList)?.includes(code) ?? false
}

export function messageBytes(message: DhcpMessage): Uint8Array {
  return Uint8Array.of(DHCP_MESSAGES.indexOf(message) + 1)
}

export function addressBytes(...addresses: Ipv4[]): Uint8Array {
  const bytes = Buffer.alloc(4 * addresses.length)
  for (const [index, address] of addresses.entries())
    bytes.writeUInt32BE(ipv4ToNumber(address), 4 * index)
  return bytes
}

export function uint32Bytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function textBytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}
