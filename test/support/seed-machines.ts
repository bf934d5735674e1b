import { createHash } from 'node:crypto'
import type { BootProgress, BootStage } from '#protocol/machine/boot-progress.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import { parseMac, type Mac } from '#protocol/mac.ts'
import type { MachineState } from '#protocol/machine/machine.ts'
import { BIOS_BOOT_TYPE, ESP_TYPE } from '#protocol/disk/partition-table.ts'
import type { Workflow } from '#protocol/run/run.ts'

/** What a machine of a lab might be; the same for the same number. Pure. */

export const GIB = 1024 ** 3
const MIB = 1024 ** 2
const LINUX_TYPE = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const SWAP_TYPE = '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f'
const NTFS_TYPE = 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'

const PRODUCTS = [
  ['Dell Inc.', 'PowerEdge R650', 'SAMSUNG MZ7L3480', 480_103_981_056],
  ['HPE', 'ProLiant DL360 Gen10', 'VK000960GXAWK', 960_197_124_096],
  ['Lenovo', 'ThinkSystem SR630 V2', 'MTFDDAK480TDS', 480_103_981_056],
  ['Supermicro', 'SYS-1029P-WTR', 'INTEL SSDSC2KB240G8', 240_057_409_536],
  ['Intel', 'NUC11TNHi5', 'WDC WDS250G2B0C', 250_059_350_016],
] as const

/** One of forty, so that every state is there in a small fleet and in a large one. */
const STATES: { state: MachineState; workflow?: Workflow; count: number }[] = [
  { state: 'discovered', count: 3 },
  { state: 'queued', workflow: 'deploy', count: 3 },
  { state: 'booting', workflow: 'deploy', count: 2 },
  { state: 'running', workflow: 'deploy', count: 4 },
  { state: 'running', workflow: 'capture', count: 1 },
  { state: 'failed', workflow: 'deploy', count: 3 },
  { state: 'deployed', workflow: 'deploy', count: 15 },
  { state: 'ready', count: 9 },
]
const CYCLE = STATES.flatMap(({ count, ...kind }) => Array.from({ length: count }, () => kind))

export interface SeedMachine {
  number: number
  mac: Mac
  name: string
  tags: string[]
  image: string | null
  locked: boolean
  state: MachineState
  workflow: Workflow | undefined
  inventory: Inventory | null
  boot: BootProgress | null
  lastSeenAt: Date
}

export function seedMachine(number: number, now: Date): SeedMachine {
  // Neighbours in a rack are in different states.
  const { state, workflow } = CYCLE[(number * 7) % CYCLE.length]!
  const mac = seedMac(number)
  const rack = 1 + Math.floor(number / 20)
  const isKnown = state !== 'discovered'
  const seconds = { discovered: 200, queued: 900, booting: 40, running: 1 }[state as string] ?? 3600
  return {
    number,
    mac,
    name: isKnown
      ? `rack${rack}-node${String(1 + (number % 20)).padStart(2, '0')}`
      : mac.replaceAll(':', '-'),
    tags: isKnown
      ? [`rack${rack}`, ...(number % 5 === 4 ? ['edge'] : []), ...(number % 9 === 0 ? ['gpu'] : [])]
      : [],
    image: workflow === 'deploy' ? IMAGE_NAMES[number % 3]! : null,
    locked: state === 'ready' && number % 4 === 0,
    state,
    workflow,
    inventory: isKnown ? seedInventory(number, now) : null,
    boot: seedBoot(number, state, now),
    lastSeenAt: ago(now, seconds + (number % 30)),
  }
}

export const IMAGE_NAMES = ['debian-13-server', 'ubuntu-24.04', 'windows-2022'] as const

export function seedMac(number: number): Mac {
  const hex = number.toString(16).padStart(6, '0')
  return parseMac(`525400${hex}`)
}

export function ago(now: Date, seconds: number): Date {
  return new Date(now.getTime() - seconds * 1000)
}

export function fakeHash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function seedBoot(number: number, state: MachineState, now: Date): BootProgress | null {
  const of = (stages: [BootStage, number, string?][], endsAtScript = false): BootProgress => ({
    stages: stages.map(([stage, seconds, detail]) => ({
      stage,
      at: ago(now, seconds).toISOString(),
      ...(detail !== undefined && { detail }),
    })),
    ...(endsAtScript && { endsAtScript }),
  })
  const dhcp: [BootStage, number, string] = ['dhcp', 212, 'UEFI x64']
  const loader: [BootStage, number, string] = ['loader', 209, 'snponly.efi']
  const ipxe: [BootStage, number] = ['ipxe', 204]
  const script: [BootStage, number, string] = ['script', 203, 'agent for an inventory']
  if (state === 'discovered')
    return of([[dhcp], [dhcp, loader], [dhcp, loader, ipxe, script]][number % 3]!)
  if (state === 'booting')
    return of([
      ['dhcp', 31, 'UEFI x64'],
      ['loader', 28, 'snponly.efi'],
      ['ipxe', 22],
      ['script', 21, 'agent for its run'],
      ['kernel', 18],
    ])
  if (state === 'deployed')
    return of(
      [
        ['dhcp', 3600, 'UEFI x64'],
        ['loader', 3598, 'snponly.efi'],
        ['ipxe', 3590],
        ['script', 3589, 'local disk'],
      ],
      true,
    )
  return null
}

function seedInventory(number: number, now: Date): Inventory {
  const [manufacturer, product, model, sizeBytes] = PRODUCTS[number % PRODUCTS.length]!
  const serial = fakeHash(`serial ${number}`).slice(0, 7).toUpperCase()
  const disks = [seedDisk(number, model, sizeBytes)]
  if (number % 4 === 1)
    disks.push({
      ...seedDisk(number + 1_000_000, 'ST4000NM0035', 4_000_787_030_016),
      path: '/dev/sdb',
      rotational: true,
      partitions: [],
      partitionTable: { type: 'none' },
    })
  return {
    at: ago(now, 3600 + number).toISOString(),
    agentVersion: '0.1.0',
    firmware: number % 6 === 5 ? 'bios' : 'uefi',
    secureBoot: false,
    architecture: 'x86_64',
    kernel: '6.1.0-32-amd64',
    smbios: {
      uuid: uuidOf(`smbios ${number}`),
      manufacturer,
      product,
      serial,
      boardSerial: `B${serial}`,
      biosVendor: manufacturer,
      biosVersion: '1.14.2',
      biosDate: '03/07/2025',
    },
    cpu: {
      model: 'Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz',
      sockets: 2,
      cores: 32,
      threads: 64,
    },
    memoryBytes: (number % 2 === 0 ? 128 : 64) * GIB,
    disks,
    nics: [
      {
        name: 'eno1',
        mac: seedMac(number),
        link: true,
        speedMbps: 10_000,
        driver: 'ixgbe',
        addresses: [`10.0.${Math.floor(number / 200)}.${20 + (number % 200)}/16`],
      },
      {
        name: 'eno2',
        mac: parseMac(`5254ff${number.toString(16).padStart(6, '0')}`),
        link: false,
        driver: 'ixgbe',
        addresses: [],
      },
    ],
    tpm: { version: '2.0' },
  }
}

function seedDisk(number: number, model: string, sizeBytes: number): Disk {
  return {
    path: '/dev/sda',
    model,
    serial: `S${fakeHash(`disk ${number}`).slice(0, 12).toUpperCase()}`,
    wwn: `0x5${fakeHash(`wwn ${number}`).slice(0, 15)}`,
    sizeBytes,
    sectorBytes: 512,
    physicalSectorBytes: 4096,
    rotational: false,
    removable: false,
    readOnly: false,
    transport: 'sata',
    ...seedLayout(number, sizeBytes),
    fingerprint: fakeHash(`layout ${number}`),
  }
}

type Layout = Pick<Disk, 'partitionTable' | 'partitions'>

function seedLayout(number: number, sizeBytes: number): Layout {
  const partition = (n: number, startBytes: number, size: number, rest: object) => ({
    number: n,
    path: `/dev/sda${n}`,
    startBytes,
    sizeBytes: size,
    uuid: uuidOf(`partition ${number}.${n}`),
    ...rest,
  })
  const esp = partition(1, MIB, 512 * MIB, {
    type: ESP_TYPE,
    name: 'EFI System',
    fileSystem: { type: 'vfat', uuid: 'A1B2-C3D4' },
  })
  const table = { partitionTable: { type: 'gpt' as const, uuid: uuidOf(`table ${number}`) } }
  if (number % 8 === 7) return { partitionTable: { type: 'none' }, partitions: [] }
  if (number % 5 === 2)
    return {
      ...table,
      partitions: [
        { ...esp, sizeBytes: 100 * MIB },
        partition(2, 101 * MIB, 16 * MIB, { name: 'Microsoft reserved partition' }),
        partition(3, 117 * MIB, sizeBytes - 700 * MIB, {
          type: NTFS_TYPE,
          name: 'Basic data partition',
          fileSystem: { type: 'ntfs', label: 'Windows', uuid: '01D9A5F2C0A1B3C4' },
        }),
      ],
    }
  const swap = 8 * GIB
  const rootStart = number % 6 === 5 ? 2 * MIB : 513 * MIB
  const first =
    number % 6 === 5 ? partition(1, MIB, MIB, { type: BIOS_BOOT_TYPE, name: 'bios' }) : esp
  const rootBytes = number % 3 === 0 ? 60 * GIB : sizeBytes - rootStart - swap - 2 * MIB
  return {
    ...table,
    partitions: [
      first,
      partition(2, rootStart, rootBytes, {
        type: LINUX_TYPE,
        fileSystem: {
          type: number % 2 ? 'ext4' : 'xfs',
          label: 'root',
          uuid: uuidOf(`root ${number}`),
        },
      }),
      partition(3, rootStart + rootBytes, swap, {
        type: SWAP_TYPE,
        fileSystem: { type: 'swap', uuid: uuidOf(`swap ${number}`) },
      }),
    ],
  }
}

function uuidOf(text: string): string {
  const hash = fakeHash(text)
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`
}
