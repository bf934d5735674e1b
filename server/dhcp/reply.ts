import { DEFAULT_PACKET_BYTES, type DhcpPacket, NO_ADDRESS } from '#protocol/dhcp/dhcp.ts'
import { DHCP_OPTION, type DhcpOptions } from '#protocol/dhcp/dhcp-fields.ts'
import {
  addressBytes,
  type DhcpMessage,
  findMessage,
  findNumber,
  messageBytes,
  textBytes,
  uint32Bytes,
} from '#protocol/dhcp/dhcp-options.ts'
import { broadcastOf, type Ipv4, netmaskOf } from '#protocol/ipv4.ts'
import { type BootFields, NO_BOOT } from './boot-options.ts'
import type { Lease } from './lease-store.ts'
import type { ServerSettings } from './settings.ts'

const CLIENT_PORT = 68
const RELAY_PORT = 67
const EVERYBODY = '255.255.255.255' as Ipv4

/** IP and UDP headers, which a client's maximum message size (option 57) includes. */
const HEADERS_BYTES = 28

/** An Ethernet frame's worth: a client may promise more than the network between us carries. */
const LARGEST_PACKET_BYTES = 1472

/** OFFER, ACK of a lease, or ACK of an INFORM, which gets neither address nor times. */
export function createAnswer(
  packet: DhcpPacket,
  message: 'offer' | 'ack',
  lease: Lease | undefined,
  boot: BootFields,
  settings: ServerSettings,
  hostname?: string,
): DhcpPacket {
  const options = answerOptions(packet, message, settings.address)
  if (lease) setTimes(options, settings.pool.leaseSeconds)
  const { network, pool } = settings
  options.set(DHCP_OPTION.subnetMask, addressBytes(netmaskOf(network.prefixLength)))
  if (pool.router) options.set(DHCP_OPTION.router, addressBytes(pool.router))
  if (pool.nameServers.length > 0)
    options.set(DHCP_OPTION.nameServers, addressBytes(...pool.nameServers))
  options.set(DHCP_OPTION.broadcastAddress, addressBytes(broadcastOf(network)))
  const answer = reply(packet, options, boot, lease?.address ?? NO_ADDRESS)
  // After all else: a long name must not push out what the machine boots from.
  if (hostname !== undefined) answer.options.set(DHCP_OPTION.hostname, textBytes(hostname))
  return answer
}

/** RFC 2131 4.4.5: renew at half of the time, ask everybody at seven eighths. */
function setTimes(options: DhcpOptions, leaseSeconds: number): void {
  options.set(DHCP_OPTION.leaseSeconds, uint32Bytes(leaseSeconds))
  options.set(DHCP_OPTION.renewalSeconds, uint32Bytes(Math.floor(leaseSeconds / 2)))
  options.set(DHCP_OPTION.rebindingSeconds, uint32Bytes(Math.floor((leaseSeconds * 7) / 8)))
}

export function createNak(packet: DhcpPacket, reason: string, address: Ipv4): DhcpPacket {
  const options = answerOptions(packet, 'nak', address)
  options.set(DHCP_OPTION.message, textBytes(reason))
  const nak = reply(packet, options, NO_BOOT, NO_ADDRESS)
  // A relay must broadcast it, for the machine's address is wrong (RFC 2131 4.3.2).
  return { ...nak, ciaddr: NO_ADDRESS, broadcast: nak.broadcast || packet.giaddr !== NO_ADDRESS }
}

/** Boot information and nothing else: no address, no time, no network. */
export function createProxyAnswer(
  packet: DhcpPacket,
  message: 'offer' | 'ack',
  boot: BootFields,
  address: Ipv4,
): DhcpPacket {
  return reply(packet, answerOptions(packet, message, address), boot, NO_ADDRESS)
}

/** What every answer has: the message, who we are, and what came in and must go back. */
function answerOptions(packet: DhcpPacket, message: DhcpMessage, address: Ipv4): DhcpOptions {
  const options: DhcpOptions = new Map()
  options.set(DHCP_OPTION.messageType, messageBytes(message))
  options.set(DHCP_OPTION.serverId, addressBytes(address))
  // RFC 6842 and RFC 3046 2.2.
  for (const code of [DHCP_OPTION.clientId, DHCP_OPTION.relayAgentInformation]) {
    const value = packet.options.get(code)
    if (value) options.set(code, value)
  }
  return options
}

function reply(
  packet: DhcpPacket,
  options: DhcpOptions,
  boot: BootFields,
  yiaddr: Ipv4,
): DhcpPacket {
  return {
    ...packet,
    op: 'reply',
    hops: 0,
    secs: 0,
    ciaddr: findMessage(packet) === 'discover' ? NO_ADDRESS : packet.ciaddr,
    yiaddr,
    siaddr: boot.siaddr,
    serverName: boot.serverName,
    bootFileName: boot.bootFileName,
    options: new Map([...options, ...boot.options]),
  }
}

/**
 * RFC 2131 4.1. A client without an address cannot answer ARP, so where the RFC would send to
 * its hardware address we broadcast, as it allows for those who cannot do that.
 */
export function destinationOf(answer: DhcpPacket): { address: Ipv4; port: number } {
  if (answer.giaddr !== NO_ADDRESS) return { address: answer.giaddr, port: RELAY_PORT }
  if (answer.ciaddr !== NO_ADDRESS) return { address: answer.ciaddr, port: CLIENT_PORT }
  return { address: EVERYBODY, port: CLIENT_PORT }
}

/** How long an answer may be, by the client's option 57. */
export function packetLimitBytes(request: DhcpPacket): number {
  const asked = findNumber(request, DHCP_OPTION.maxMessageSize, 2) ?? 0
  return Math.min(Math.max(asked - HEADERS_BYTES, DEFAULT_PACKET_BYTES), LARGEST_PACKET_BYTES)
}
