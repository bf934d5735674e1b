import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeDhcp, type DhcpPacket, encodeDhcp, NO_ADDRESS } from '#protocol/dhcp/dhcp.ts'
import { DhcpDecodeError } from '#protocol/dhcp/dhcp-error.ts'
import { DHCP_OPTION } from '#protocol/dhcp/dhcp-fields.ts'
import { findAddress, findMessage, messageBytes } from '#protocol/dhcp/dhcp-options.ts'
import { formatIpv4, type Ipv4 } from '#protocol/ipv4.ts'
import { openPacketSocket } from './system-calls.ts'

const ETHERTYPE_IPV4 = 0x0800
const PROTOCOL_UDP = 17
const SERVER_PORT = 67
const CLIENT_PORT = 68
const ETHERNET_HEADER_BYTES = 14
const IP_HEADER_BYTES = 20
const UDP_HEADER_BYTES = 8

const ROUND_MS = 1500
const ROUNDS = 2
const POLL_MS = 20

/**
 * The DHCP servers of the network that would give a new machine an address: asked as such a machine would, for three seconds.
 * Servers that offer boot information only do not count. Ends early if `signal` aborts.
 *
 * Sends and reads whole frames, since a DHCP client of this host may hold port 68.
 */
export async function probeForServers(
  interfaceName: string,
  signal?: AbortSignal,
): Promise<Ipv4[]> {
  using socket = openPacketSocket(interfaceName, ETHERTYPE_IPV4)
  const discover = createDiscover()
  const frame = encodeFrame(discover)
  const servers = new Set<Ipv4>()
  for (let round = 0; round < ROUNDS; round += 1) {
    socket.send(frame)
    for (let waited = 0; waited < ROUND_MS && !signal?.aborted; waited += POLL_MS) {
      await sleep(POLL_MS)
      for (let bytes = socket.receive(); bytes; bytes = socket.receive()) {
        const server = offeringServer(bytes, discover.transactionId)
        if (server) servers.add(server)
      }
    }
  }
  return [...servers]
}

function createDiscover(): DhcpPacket {
  const hardwareAddress = randomBytes(6)
  hardwareAddress[0] = (hardwareAddress[0]! & 0xfc) | 0x02 // ours to make up, and no multicast
  return {
    op: 'request',
    hardwareType: 1,
    hops: 0,
    transactionId: randomInt(2 ** 32),
    secs: 0,
    broadcast: true,
    ciaddr: NO_ADDRESS,
    yiaddr: NO_ADDRESS,
    siaddr: NO_ADDRESS,
    giaddr: NO_ADDRESS,
    hardwareAddress,
    serverName: '',
    bootFileName: '',
    options: new Map([
      [DHCP_OPTION.messageType, messageBytes('discover')],
      [DHCP_OPTION.parameterRequestList, Uint8Array.of(DHCP_OPTION.subnetMask, DHCP_OPTION.router)],
    ]),
  }
}

/** From 0.0.0.0 to everybody. UDP's checksum may be left out (RFC 768), IP's may not. */
function encodeFrame(packet: DhcpPacket): Uint8Array {
  const payload = encodeDhcp(packet)
  const udpBytes = UDP_HEADER_BYTES + payload.length
  const head = Buffer.alloc(ETHERNET_HEADER_BYTES + IP_HEADER_BYTES + UDP_HEADER_BYTES)
  head.fill(0xff, 0, 6)
  head.set(packet.hardwareAddress, 6)
  head.writeUInt16BE(ETHERTYPE_IPV4, 12)
  const ip = head.subarray(ETHERNET_HEADER_BYTES)
  ip.writeUInt8(0x45, 0) // version 4, five words of header
  ip.writeUInt16BE(IP_HEADER_BYTES + udpBytes, 2)
  ip.writeUInt8(64, 8) // time to live
  ip.writeUInt8(PROTOCOL_UDP, 9)
  ip.fill(0xff, 16, 20)
  ip.writeUInt16BE(ipChecksum(ip.subarray(0, IP_HEADER_BYTES)), 10)
  const udp = ip.subarray(IP_HEADER_BYTES)
  udp.writeUInt16BE(CLIENT_PORT, 0)
  udp.writeUInt16BE(SERVER_PORT, 2)
  udp.writeUInt16BE(udpBytes, 4)
  return Buffer.concat([head, payload])
}

/** RFC 1071. */
function ipChecksum(header: Buffer): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function offeringServer(frame: Uint8Array, transactionId: number): Ipv4 | undefined {
  const ip = Buffer.from(frame.subarray(ETHERNET_HEADER_BYTES))
  if (ip.length < IP_HEADER_BYTES || ip[9] !== PROTOCOL_UDP) return undefined
  const udp = ip.subarray((ip[0]! & 0x0f) * 4)
  if (udp.length < UDP_HEADER_BYTES || udp.readUInt16BE(2) !== CLIENT_PORT) return undefined
  try {
    const packet = decodeDhcp(udp.subarray(UDP_HEADER_BYTES))
    if (packet.transactionId !== transactionId || packet.op !== 'reply') return undefined
    if (findMessage(packet) !== 'offer' || packet.yiaddr === NO_ADDRESS) return undefined
    return findAddress(packet, DHCP_OPTION.serverId) ?? formatIpv4(ip.readUInt32BE(12))
  } catch (error) {
    if (error instanceof DhcpDecodeError) return undefined
    throw error
  }
}
