/** What asks for a boot file: the kind of firmware, or iPXE, which firmware loaded before. */
export type Firmware =
  | 'bios'
  | 'efi-x86'
  | 'efi-x64'
  | 'efi-arm64'
  | 'efi-x86-http'
  | 'efi-x64-http'
  | 'efi-arm64-http'
  | 'ipxe'

const FIRMWARE_TEXT: Readonly<Record<Firmware | 'unknown', string>> = {
  bios: 'BIOS',
  'efi-x86': 'UEFI x86',
  'efi-x64': 'UEFI x64',
  'efi-arm64': 'UEFI ARM64',
  'efi-x86-http': 'UEFI x86, HTTP boot',
  'efi-x64-http': 'UEFI x64, HTTP boot',
  'efi-arm64-http': 'UEFI ARM64, HTTP boot',
  ipxe: 'iPXE',
  unknown: 'firmware that nothing here fits',
}

/** For people. */
export function firmwareText(firmware: Firmware | 'unknown'): string {
  return FIRMWARE_TEXT[firmware]
}

/** Option 93 values from the IANA registry "Processor Architecture Types". */
const FIRMWARE_BY_ARCHITECTURE: Readonly<Record<number, Firmware>> = {
  0: 'bios',
  6: 'efi-x86',
  7: 'efi-x64', // the registry says "x64 UEFI" here,
  9: 'efi-x64', // and "EBC" here, which RFC 4578 (erratum 4625) had the other way round
  11: 'efi-arm64',
  15: 'efi-x86-http',
  16: 'efi-x64-http',
  17: 'efi-x64-http', // "EBC from HTTP", mistaken for x64 as 9 is
  19: 'efi-arm64-http',
}

/** What a client tells about itself, taken out of its packet. */
export interface BootClient {
  /** Option 93, best first; none from a BIOS ROM older than RFC 4578. */
  architectures: number[]
  /** Option 77. */
  userClasses: string[]
  /** Option 60: `PXEClient:Arch:00007:UNDI:003016`, `HTTPClient:…`, or that of no boot program. */
  vendorClass?: string
  /** Option 175 is there: only iPXE sends it. */
  hasIpxeOptions: boolean
}

/** `none`: boots from something else. `unknown`: firmware that we have never heard of. */
export type BootClientKind =
  | { kind: 'none' }
  | { kind: 'unknown'; architectures: number[] }
  | { kind: 'known'; firmware: Firmware }

/**
 * Which firmware asks.
 *
 * iPXE also sends the architecture and the vendor class of the firmware below it, so what is
 * its own must win: answering it with iPXE again would chainload for ever.
 */
export function identifyFirmware(client: BootClient): BootClientKind {
  if (client.userClasses.includes('iPXE') || client.hasIpxeOptions)
    return { kind: 'known', firmware: 'ipxe' }
  const { vendorClass = '', architectures } = client
  const isHttp = vendorClass.startsWith('HTTPClient')
  if (!isHttp && !vendorClass.startsWith('PXEClient')) return { kind: 'none' }
  if (architectures.length === 0 && !isHttp) return { kind: 'known', firmware: 'bios' }
  const firmware = architectures
    .map((architecture) => FIRMWARE_BY_ARCHITECTURE[architecture])
    .find((candidate) => candidate !== undefined && isHttp === candidate.endsWith('-http'))
  return firmware ? { kind: 'known', firmware } : { kind: 'unknown', architectures }
}
