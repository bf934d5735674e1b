import { decodeDhcp, type DhcpPacket, encodeDhcp, NO_ADDRESS } from '#protocol/dhcp/dhcp.ts'
import { DHCP_OPTION } from '#protocol/dhcp/dhcp-fields.ts'
import {
  addressBytes,
  type DhcpMessage,
  messageBytes,
  textBytes,
} from '#protocol/dhcp/dhcp-options.ts'
import { parseIpv4, parseIpv4Cidr, parseIpv4Range } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import type { ServerSettings } from '#server/dhcp/settings.ts'

export const MACHINE = parseMac('52:54:00:12:34:56')
export const OTHER = parseMac('52:54:00:00:00:0b')
export const US = parseIpv4('10.0.0.1')
export const TEN = parseIpv4('10.0.0.10')
export const ELEVEN = parseIpv4('10.0.0.11')
export const NOW = new Date('2026-01-01T00:00:00Z')

export const SETTINGS: ServerSettings = {
  address: US,
  network: parseIpv4Cidr('10.0.0.1/24'),
  boot: {
    serverUrl: 'http://10.0.0.1:8080',
    bootFiles: new Set(['undionly.kpxe', 'snponly.efi']),
  },
  pool: {
    range: parseIpv4Range('10.0.0.10-10.0.0.13'),
    router: parseIpv4('10.0.0.254'),
    nameServers: [parseIpv4('10.0.0.53')],
    leaseSeconds: 3600,
  },
}

export type PacketParts = Partial<Omit<DhcpPacket, 'options'>> & {
  mac?: string
  requested?: string
  serverId?: string
  /** Option 93, and with it the vendor class of PXE or of HTTP boot. */
  architecture?: number
  userClass?: string
  options?: [number, Uint8Array][]
}

/** A client's packet as it arrives: through the bytes and back. */
export function packetFrom(message: DhcpMessage, parts: PacketParts = {}): DhcpPacket {
  const {
    mac = MACHINE,
    requested,
    serverId,
    architecture,
    userClass,
    options = [],
    ...rest
  } = parts
  const packet: DhcpPacket = {
    op: 'request',
    hardwareType: 1,
    hops: 0,
    transactionId: 7,
    secs: 1,
    broadcast: false,
    ciaddr: NO_ADDRESS,
    yiaddr: NO_ADDRESS,
    siaddr: NO_ADDRESS,
    giaddr: NO_ADDRESS,
    hardwareAddress: Buffer.from(mac.replaceAll(':', ''), 'hex'),
    serverName: '',
    bootFileName: '',
    ...rest,
    options: new Map([[DHCP_OPTION.messageType, messageBytes(message)], ...options]),
  }
  if (requested) packet.options.set(50, addressBytes(parseIpv4(requested)))
  if (serverId) packet.options.set(54, addressBytes(parseIpv4(serverId)))
  if (architecture !== undefined) {
    const kind = architecture >= 15 ? 'HTTPClient' : 'PXEClient'
    packet.options.set(60, textBytes(`${kind}:Arch:000${architecture}:UNDI:003001`))
    packet.options.set(93, Uint8Array.of(0, architecture))
  }
  if (userClass) packet.options.set(77, textBytes(userClass))
  return decodeDhcp(encodeDhcp(packet))
}

/** An option of an answer as text that a test can compare: hexadecimal. */
export function hexOption(packet: DhcpPacket | undefined, code: number): string | undefined {
  const value = packet?.options.get(code)
  return value && Buffer.from(value).toString('hex')
}

export function textOption(packet: DhcpPacket | undefined, code: number): string | undefined {
  const value = packet?.options.get(code)
  return value && Buffer.from(value).toString()
}
