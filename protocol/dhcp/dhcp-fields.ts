import { DhcpDecodeError } from './dhcp-error.ts'

/** Option codes as in the IANA registry "BOOTP Vendor Extensions and DHCP Options". */
export const DHCP_OPTION = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  nameServers: 6,
  hostname: 12,
  broadcastAddress: 28,
  vendorSpecific: 43,
  requestedAddress: 50,
  leaseSeconds: 51,
  overload: 52,
  messageType: 53,
  serverId: 54,
  parameterRequestList: 55,
  message: 56,
  maxMessageSize: 57,
  renewalSeconds: 58,
  rebindingSeconds: 59,
  vendorClass: 60,
  clientId: 61,
  tftpServerName: 66,
  bootFileName: 67,
  userClass: 77,
  relayAgentInformation: 82,
  clientArchitecture: 93,
  clientMachineId: 97,
  ipxe: 175,
  end: 255,
} as const

/** Options by code, in the order in which they go out; a value may be longer than 255 bytes. */
export type DhcpOptions = Map<number, Uint8Array>

const LONGEST_PART_BYTES = 255

/**
 * Reads fields of code, length, value. A code that comes again continues the value (RFC 3396), also
 * in a later area, which is why there may be several. Whatever follows END is not read, and a
 * missing END is forgiven: some firmware leaves it out when the field is full.
 */
export function decodeFields(...areas: Uint8Array[]): DhcpOptions {
  const parts = new Map<number, Uint8Array[]>()
  for (const area of areas) collectParts(area, parts)
  return new Map(parts.entries().map(([code, list]) => [code, Buffer.concat(list)]))
}

function collectParts(area: Uint8Array, parts: Map<number, Uint8Array[]>): void {
  for (let at = 0; at < area.length;) {
    const code = area[at]!
    if (code === DHCP_OPTION.end) return
    at += 1
    if (code === DHCP_OPTION.pad) continue
    const length = area[at]
    if (length === undefined || at + 1 + length > area.length)
      throw new DhcpDecodeError(`Option ${code} is longer than the field that it is in`)
    const part = area.subarray(at + 1, at + 1 + length)
    const present = parts.get(code)
    if (present) present.push(part)
    else parts.set(code, [part])
    at += 1 + length
  }
}

/** One option as it goes out, in as many parts as it needs (RFC 3396); no END. */
export function encodeField(code: number, value: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (let start = 0; start === 0 || start < value.length; start += LONGEST_PART_BYTES) {
    const part = value.subarray(start, start + LONGEST_PART_BYTES)
    parts.push(Uint8Array.of(code, part.length), part)
  }
  return Buffer.concat(parts)
}

/** Options inside an option, as 43 and 175 hold them, with the END that PXE 2.1 asks for. */
export function encodeFields(options: DhcpOptions): Uint8Array {
  const fields = [...options].map(([code, value]) => encodeField(code, value))
  return Buffer.concat([...fields, Uint8Array.of(DHCP_OPTION.end)])
}
