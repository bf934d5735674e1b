import { type DhcpPacket, NO_ADDRESS } from '#protocol/dhcp/dhcp.ts'
import { DhcpDecodeError } from '#protocol/dhcp/dhcp-error.ts'
import {
  DHCP_OPTION,
  decodeFields,
  type DhcpOptions,
  encodeFields,
} from '#protocol/dhcp/dhcp-fields.ts'
import {
  asksFor,
  findArchitectures,
  findText,
  findUserClasses,
  textBytes,
} from '#protocol/dhcp/dhcp-options.ts'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import { type BootAnswer, bootAnswer } from '#server/boot/boot-file.ts'
import { type BootClientKind, type Firmware, identifyFirmware } from '#server/boot/firmware.ts'
import type { BootSettings, ProxySettings } from './settings.ts'

/** PXE 2.1, option 43, tag 6: bit 3 says "load the file that is named here, look no further". */
const PXE_DISCOVERY_CONTROL = 6
const PXE_USE_BOOT_FILE = 8

/** PXE 2.1, option 43, tag 71: which item of a boot menu the client means. */
const PXE_BOOT_ITEM = 71

/** iPXE's own option 175, tag 176: do not wait for a proxy (ipxe.org/cfg/no-pxedhcp). */
const IPXE_NO_PROXY_DHCP = 176

const LONGEST_FILE_NAME_BYTES = 127

export function clientOf(packet: DhcpPacket): BootClientKind {
  return identifyFirmware({
    architectures: findArchitectures(packet),
    userClasses: findUserClasses(packet),
    vendorClass: findText(packet, DHCP_OPTION.vendorClass),
    hasIpxeOptions: packet.options.has(DHCP_OPTION.ipxe),
  })
}

/** Undefined for a machine that does not boot from the network. */
export function bootFor(
  client: BootClientKind,
  mac: Mac,
  { bootFiles, serverUrl, preferred }: BootSettings,
): BootAnswer | undefined {
  if (client.kind === 'none') return undefined
  if (client.kind === 'unknown') return { kind: 'none', wanted: [] }
  const { firmware } = client
  return bootAnswer({ firmware, mac, available: bootFiles, serverUrl, preferred })
}

/** What a boot answer adds to a DHCP reply. */
export type BootFields = Pick<DhcpPacket, 'siaddr' | 'bootFileName' | 'serverName'> & {
  options: DhcpOptions
}

export const NO_BOOT: BootFields = {
  siaddr: NO_ADDRESS,
  bootFileName: '',
  serverName: '',
  options: new Map(),
}

/** How we speak: as the network's DHCP server, beside it, or on port 4011. */
export type Voice = 'server' | 'proxy' | 'boot-server'

/**
 * The fields by which firmware finds its boot file.
 *
 * Option 60 tells firmware that the answer is meant for it: PXE ROMs pass over proxy offers without it, and UEFI
 * HTTP boot passes over everything without `HTTPClient`. Option 43 with "load this file" makes PXE
 * ROMs skip the search for boot servers. Not so beside another DHCP server for UEFI: edk2 up to 2018
 * dropped proxy offers with option 43 (PxeBcCacheDhcp4Offer counted them only from the second on),
 * while without it every version asks on port 4011 and loads what it is told there.
 */
export function bootFields(
  packet: DhcpPacket,
  answer: BootAnswer,
  firmware: Firmware,
  voice: Voice,
  { address }: ProxySettings,
): BootFields {
  if (answer.kind === 'none') return NO_BOOT
  const options: DhcpOptions = new Map()
  options.set(
    DHCP_OPTION.vendorClass,
    textBytes(answer.kind === 'http' ? 'HTTPClient' : 'PXEClient'),
  )
  const machineId = packet.options.get(DHCP_OPTION.clientMachineId)
  if (machineId) options.set(DHCP_OPTION.clientMachineId, machineId)
  const pxe = pxeOptions(packet, firmware, voice)
  if (pxe) options.set(DHCP_OPTION.vendorSpecific, pxe)
  if (firmware === 'ipxe' && voice === 'server')
    options.set(DHCP_OPTION.ipxe, encodeFields(new Map([[IPXE_NO_PROXY_DHCP, Uint8Array.of(1)]])))
  const name = answer.kind === 'tftp' ? answer.fileName : answer.url
  const fits = Buffer.byteLength(name) <= LONGEST_FILE_NAME_BYTES
  // Some firmware reads the option only, some the field only; a URL may be too long for the field.
  if (!fits || asksFor(packet, DHCP_OPTION.bootFileName))
    options.set(DHCP_OPTION.bootFileName, textBytes(name))
  if (answer.kind === 'tftp' && asksFor(packet, DHCP_OPTION.tftpServerName))
    options.set(DHCP_OPTION.tftpServerName, textBytes(address))
  return { ...namesOf(answer, fits ? name : '', address), options }
}

function namesOf(
  answer: BootAnswer,
  bootFileName: string,
  address: Ipv4,
): Omit<BootFields, 'options'> {
  return { siaddr: address, bootFileName, serverName: answer.kind === 'tftp' ? address : '' }
}

function pxeOptions(packet: DhcpPacket, firmware: Firmware, voice: Voice): Uint8Array | undefined {
  if (firmware.endsWith('-http')) return undefined
  if (firmware.startsWith('efi') && voice !== 'server') return undefined
  const options: DhcpOptions = new Map([[PXE_DISCOVERY_CONTROL, Uint8Array.of(PXE_USE_BOOT_FILE)]])
  const item = voice === 'boot-server' ? findBootItem(packet) : undefined
  if (item) options.set(PXE_BOOT_ITEM, item)
  return encodeFields(options)
}

/**
 * A client that came through a boot menu expects its choice back. What is not PXE's in option 43 is no
 * reason not to boot: the option is each vendor's own.
 */
function findBootItem(packet: DhcpPacket): Uint8Array | undefined {
  const area = packet.options.get(DHCP_OPTION.vendorSpecific) ?? new Uint8Array()
  try {
    return decodeFields(area).get(PXE_BOOT_ITEM)
  } catch (error) {
    if (error instanceof DhcpDecodeError) return undefined
    throw error
  }
}
