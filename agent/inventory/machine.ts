import { arch, release } from 'node:os'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { readBytes, readNames, readText } from './sysfs.ts'

const DMI = '/sys/class/dmi/id'
const EFI = '/sys/firmware/efi'
/** UEFI 2.10, 3.3: the global variable GUID; sysfs puts 4 bytes of attributes in front. */
const SECURE_BOOT = `${EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c`
const SECURE_BOOT_AT = 4

const DMI_FIELDS = {
  uuid: 'product_uuid',
  manufacturer: 'sys_vendor',
  product: 'product_name',
  serial: 'product_serial',
  boardSerial: 'board_serial',
  assetTag: 'chassis_asset_tag',
  biosVendor: 'bios_vendor',
  biosVersion: 'bios_version',
  biosDate: 'bios_date',
} as const satisfies Record<keyof Inventory['smbios'], string>

export async function readSmbios(): Promise<Inventory['smbios']> {
  const fields = Object.entries(DMI_FIELDS).map(
    async ([field, file]) => [field, await readText(`${DMI}/${file}`)] as const,
  )
  return Object.fromEntries((await Promise.all(fields)).filter(([, text]) => text !== undefined))
}

export async function readFirmware(): Promise<Pick<Inventory, 'firmware' | 'secureBoot'>> {
  if ((await readNames(EFI)).length === 0) return { firmware: 'bios' }
  const variable = await readBytes(SECURE_BOOT)
  return {
    firmware: 'uefi',
    ...(variable && { secureBoot: variable[SECURE_BOOT_AT] === 1 }),
  }
}

/** proc_cpuinfo(5): a block of `key : value` lines for each thread. */
export function parseCpuInfo(text: string): Inventory['cpu'] {
  const blocks = text
    .trim()
    .split(/\n\s*\n/)
    .map((block) => new Map(block.split('\n').map(keyAndValue)))
    .filter((block) => block.has('processor'))
  const sockets = new Set(blocks.map((block) => block.get('physical id') ?? '0'))
  const cores = new Set(
    blocks.map((block, index) => `${block.get('physical id')}/${block.get('core id') ?? index}`),
  )
  const model = blocks[0]?.get('model name')
  return {
    ...(model !== undefined && { model }),
    sockets: sockets.size,
    cores: cores.size,
    threads: blocks.length,
  }
}

function keyAndValue(line: string): [string, string] {
  const [key = '', ...value] = line.split(':')
  return [key.trim(), value.join(':').trim()]
}

/** proc_meminfo(5): `MemTotal:  1000000 kB`, where kB means 1,024 bytes. */
export function parseMemoryBytes(meminfo: string): number {
  const kib = meminfo.match(/^MemTotal:\s+(\d+) kB$/m)?.[1]
  return kib === undefined ? 0 : Number(kib) * 1024
}

export async function readTpm(): Promise<Pick<Inventory, 'tpm'>> {
  const [name] = await readNames('/sys/class/tpm')
  if (name === undefined) return {}
  const version = await readText(`/sys/class/tpm/${name}/tpm_version_major`)
  return { tpm: { ...(version !== undefined && { version }) } }
}

const UNAME_OF_ARCH: Record<string, string> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686' }

export function readSystem(): Pick<Inventory, 'architecture' | 'kernel'> {
  return { architecture: UNAME_OF_ARCH[arch()] ?? arch(), kernel: release() }
}
