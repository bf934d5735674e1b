import { DhcpDecodeError } from './dhcp-error.ts'
import { DHCP_OPTION, decodeFields, type DhcpOptions, encodeField } from './dhcp-fields.ts'
import { formatIpv4, type Ipv4, ipv4ToNumber, parseIpv4 } from '../ipv4.ts'

/** A BOOTP packet (RFC 951) with DHCP options (RFC 2131, 2132), by the names of the RFCs. */
export interface DhcpPacket {
  op: 'request' | 'reply'
  /** 1 is Ethernet. */
  hardwareType: number
  hops: number
  transactionId: number
  secs: number
  /** The client cannot receive unicast before it has an address. */
  broadcast: boolean
  /** The client's address, if it has one that it can answer ARP for. */
  ciaddr: Ipv4
  /** The address that the client gets. */
  yiaddr: Ipv4
  /** Where the boot file is. */
  siaddr: Ipv4
  /** The relay that the packet came through. */
  giaddr: Ipv4
  /** At most 16 bytes; for Ethernet the six of the MAC. */
  hardwareAddress: Uint8Array
  /** At most 63 characters of Latin-1, without NUL. */
  serverName: string
  /** At most 127 characters of Latin-1, without NUL. */
  bootFileName: string
  options: DhcpOptions
}

export const NO_ADDRESS = parseIpv4('0.0.0.0')

const MAGIC_COOKIE = 0x63825363
const OP_REQUEST = 1
const OP_REPLY = 2
const BROADCAST_FLAG = 0x8000

const CHADDR = { start: 28, end: 44 }
const SNAME = { start: 44, end: 108 }
const FILE = { start: 108, end: 236 }
const OPTIONS_START = 240

const OVERLOADS_FILE = 1
const OVERLOADS_SNAME = 2

/**
 * Goes after option 67: some firmware, from old PXE ROMs to the UEFI of 2016, reads it as a C string past its length,
 * and asks TFTP for `undionly.kpxe` with the next options behind it.
 */
const PAD = Uint8Array.of(DHCP_OPTION.pad)

/** RFC 1542 2.1: a BOOTP message has 300 bytes, and some clients drop shorter ones. */
export const MIN_PACKET_BYTES = 300

/** RFC 2131 2: every client takes 576 bytes of IP datagram, 28 of them IP and UDP headers. */
export const DEFAULT_PACKET_BYTES = 548

/** Throws DhcpDecodeError, and nothing else, whatever the bytes are. */
export function decodeDhcp(bytes: Uint8Array): DhcpPacket {
  if (bytes.length < OPTIONS_START)
    throw new DhcpDecodeError(`A DHCP packet has 240 bytes or more, this one ${bytes.length}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(236) !== MAGIC_COOKIE) throw new DhcpDecodeError('No DHCP magic cookie')
  const op = view.getUint8(0)
  if (op !== OP_REQUEST && op !== OP_REPLY) throw new DhcpDecodeError(`Unknown op ${op}`)
  const hardwareAddressBytes = view.getUint8(2)
  if (hardwareAddressBytes > CHADDR.end - CHADDR.start)
    throw new DhcpDecodeError(`A hardware address of ${hardwareAddressBytes} bytes`)
  return {
    op: op === OP_REQUEST ? 'request' : 'reply',
    hardwareType: view.getUint8(1),
    hops: view.getUint8(3),
    transactionId: view.getUint32(4),
    secs: view.getUint16(8),
    broadcast: (view.getUint16(10) & BROADCAST_FLAG) !== 0,
    ciaddr: formatIpv4(view.getUint32(12)),
    yiaddr: formatIpv4(view.getUint32(16)),
    siaddr: formatIpv4(view.getUint32(20)),
    giaddr: formatIpv4(view.getUint32(24)),
    hardwareAddress: bytes.slice(CHADDR.start, CHADDR.start + hardwareAddressBytes),
    ...decodeOptions(bytes),
  }
}

/** The areas in the order of RFC 3396 5: options, then `file`, then `sname`. */
function decodeOptions(
  bytes: Uint8Array,
): Pick<DhcpPacket, 'serverName' | 'bootFileName' | 'options'> {
  const area = bytes.subarray(OPTIONS_START)
  const sname = bytes.subarray(SNAME.start, SNAME.end)
  const file = bytes.subarray(FILE.start, FILE.end)
  const overload = overloadOf(decodeFields(area))
  const fileIsOptions = (overload & OVERLOADS_FILE) !== 0
  const snameIsOptions = (overload & OVERLOADS_SNAME) !== 0
  const areas = [area, ...(fileIsOptions ? [file] : []), ...(snameIsOptions ? [sname] : [])]
  const options = decodeFields(...areas)
  options.delete(DHCP_OPTION.overload)
  return {
    serverName: snameIsOptions ? '' : untilNul(sname),
    bootFileName: fileIsOptions ? '' : untilNul(file),
    options,
  }
}

function overloadOf(options: DhcpOptions): number {
  const value = options.get(DHCP_OPTION.overload)
  if (value === undefined) return 0
  const [overload] = value
  if (value.length !== 1 || overload === undefined || overload < 1 || overload > 3)
    throw new DhcpDecodeError('Option 52 (overload) is not 1, 2 or 3')
  return overload
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1')
}

/**
 * The packet as it goes out, 300 bytes or more. Options are written in the order of the map, except
 * that the relay agent's come last (RFC 3046 2.1). What does not fit into `maxBytes` goes to `file`
 * and `sname` where these are empty; what does not fit there either is left out, so options that
 * matter go first.
 */
export function encodeDhcp(packet: DhcpPacket, maxBytes = DEFAULT_PACKET_BYTES): Uint8Array {
  const header = encodeHeader(packet)
  const { area, file, sname } = placeOptions(packet, maxBytes - OPTIONS_START)
  if (file) header.set(file, FILE.start)
  if (sname) header.set(sname, SNAME.start)
  const padding = new Uint8Array(Math.max(0, MIN_PACKET_BYTES - OPTIONS_START - area.length))
  return Buffer.concat([header, area, padding])
}

function encodeHeader(packet: DhcpPacket): Uint8Array {
  const header = Buffer.alloc(OPTIONS_START)
  header.writeUInt8(packet.op === 'request' ? OP_REQUEST : OP_REPLY, 0)
  header.writeUInt8(packet.hardwareType, 1)
  header.writeUInt8(packet.hardwareAddress.length, 2)
  header.writeUInt8(packet.hops, 3)
  header.writeUInt32BE(packet.transactionId, 4)
  header.writeUInt16BE(packet.secs, 8)
  header.writeUInt16BE(packet.broadcast ? BROADCAST_FLAG : 0, 10)
  const addresses = [packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr]
  for (const [index, address] of addresses.entries())
    header.writeUInt32BE(ipv4ToNumber(address), 12 + 4 * index)
  header.set(packet.hardwareAddress, CHADDR.start)
  header.set(textField('serverName', packet.serverName, SNAME), SNAME.start)
  header.set(textField('bootFileName', packet.bootFileName, FILE), FILE.start)
  header.writeUInt32BE(MAGIC_COOKIE, 236)
  return header
}

/** Kept one byte short of the field: firmware reads these as C strings. */
function textField(name: string, text: string, field: { start: number; end: number }): Uint8Array {
  const longest = field.end - field.start - 1
  if (text.length > longest)
    throw new RangeError(`${name} has at most ${longest} characters: "${text}"`)
  return Buffer.from(text, 'latin1')
}

interface PlacedOptions {
  area: Uint8Array
  file?: Uint8Array
  sname?: Uint8Array
}

function placeOptions(packet: DhcpPacket, areaBytes: number): PlacedOptions {
  const fields = fieldsInOrder(packet.options)
  const whole = Buffer.concat([...fields, Uint8Array.of(DHCP_OPTION.end)])
  if (whole.length <= areaBytes) return { area: whole }

  const fileFree = packet.bootFileName === ''
  const snameFree = packet.serverName === ''
  const relay = packet.options.get(DHCP_OPTION.relayAgentInformation)
  const last = relay ? encodeField(DHCP_OPTION.relayAgentInformation, relay) : new Uint8Array()
  const overloadBytes = fileFree || snameFree ? 3 : 0
  const area: Bin = { fields: [], freeBytes: areaBytes - overloadBytes - last.length - 1 }
  const file: Bin = { fields: [], freeBytes: fileFree ? FILE.end - FILE.start - 1 : 0 }
  const sname: Bin = { fields: [], freeBytes: snameFree ? SNAME.end - SNAME.start - 1 : 0 }
  for (const field of relay ? fields.slice(0, -1) : fields) {
    const bin = [area, file, sname].find(({ freeBytes }) => freeBytes >= field.length)
    if (!bin) continue
    bin.fields.push(field)
    bin.freeBytes -= field.length
  }
  const overload =
    (file.fields.length > 0 ? OVERLOADS_FILE : 0) + (sname.fields.length > 0 ? OVERLOADS_SNAME : 0)
  if (overload > 0) area.fields.unshift(encodeField(DHCP_OPTION.overload, Uint8Array.of(overload)))
  return {
    area: Buffer.concat([...area.fields, last, Uint8Array.of(DHCP_OPTION.end)]),
    ...(file.fields.length > 0 && { file: closed(file) }),
    ...(sname.fields.length > 0 && { sname: closed(sname) }),
  }
}

interface Bin {
  fields: Uint8Array[]
  freeBytes: number
}

function closed({ fields }: Bin): Uint8Array {
  return Buffer.concat([...fields, Uint8Array.of(DHCP_OPTION.end)])
}

function fieldsInOrder(options: DhcpOptions): Uint8Array[] {
  const { relayAgentInformation } = DHCP_OPTION
  const relay = options.get(relayAgentInformation)
  const entries = [...options].filter(([code]) => code !== relayAgentInformation)
  if (relay) entries.push([relayAgentInformation, relay])
  return entries.map(([code, value]) => {
    const field = encodeField(code, value)
    return code === DHCP_OPTION.bootFileName ? Buffer.concat([field, PAD]) : field
  })
}
