import type { Mac } from '#protocol/mac.ts'
import type { Firmware } from './firmware.ts'

/** What a DHCP answer says about booting. */
export type BootAnswer =
  /** Firmware loads the file by TFTP. */
  | { kind: 'tftp'; fileName: string }
  /** UEFI loads the file by HTTP. */
  | { kind: 'http'; url: string }
  /** iPXE runs the script. */
  | { kind: 'script'; url: string }
  /** We have nothing that this firmware could run; `wanted` are the files that would help. */
  | { kind: 'none'; wanted: readonly string[] }

type Loader = Exclude<Firmware, 'ipxe'>

/**
 * The files that firmware can start, best first; the first that exists is answered. To prefer
 * another iPXE build, put it in the boot folder under the first name.
 *
 * `snponly.efi` comes before `ipxe.efi`: it drives the card through the firmware that just booted
 * from it, and only this card, so it works on any card that got this far. `ipxe.efi` takes the card
 * over with drivers of its own, which may lack the card or find another port first. `undionly.kpxe`
 * is the same choice on BIOS.
 */
export const BOOT_FILES: Readonly<Record<Loader, readonly string[]>> = {
  bios: ['undionly.kpxe'],
  'efi-x86': ['snponly-ia32.efi', 'ipxe-ia32.efi'],
  'efi-x64': ['snponly.efi', 'ipxe.efi'],
  'efi-arm64': ['snponly-arm64.efi', 'ipxe-arm64.efi'],
  'efi-x86-http': ['snponly-ia32.efi', 'ipxe-ia32.efi'],
  'efi-x64-http': ['snponly.efi', 'ipxe.efi'],
  'efi-arm64-http': ['snponly-arm64.efi', 'ipxe-arm64.efi'],
}

export interface BootFileRequest {
  firmware: Firmware
  mac: Mac
  /** Names of the boot files that exist. */
  available: ReadonlySet<string>
  /** How machines reach us by HTTP: `http://10.0.0.1:8080`. */
  serverUrl: string
  /** Other names or another order than BOOT_FILES. */
  preferred?: Partial<Record<Loader, readonly string[]>>
}

/** What this firmware on this machine boots next. */
export function bootAnswer(request: BootFileRequest): BootAnswer {
  const { firmware, mac, available, preferred = {} } = request
  const base = request.serverUrl.replace(/\/+$/, '')
  if (firmware === 'ipxe')
    return { kind: 'script', url: `${base}/boot/${mac.replaceAll(':', '-')}.ipxe` }
  const wanted = preferred[firmware] ?? BOOT_FILES[firmware]
  const fileName = wanted.find((name) => available.has(name))
  if (fileName === undefined) return { kind: 'none', wanted }
  if (firmware.endsWith('-http'))
    return { kind: 'http', url: `${base}/boot/files/${encodeURIComponent(fileName)}` }
  return { kind: 'tftp', fileName }
}
