import { Type, type Static } from 'typebox'
import { chooseDisk, describeDisk } from '#protocol/machine/disk-choice.ts'
import type { Image, ImageInfo } from '#protocol/image/image-info.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { type Mac, parseMac } from '#protocol/mac.ts'
import type { Run } from '#protocol/run/run.ts'

/**
 * What BOOTy (plunder-app/BOOTy, 2020) reads as its configuration. It knows no null. `growDisk` and
 * `dryRun` it never reads; the misspelt key is on the wire.
 */
export const BootyConfigSchema = Type.Object({
  action: Type.Enum(['readImage', 'writeImage']),
  compressed: Type.Boolean(),
  sourceImage: Type.Optional(Type.String()),
  destinationDevice: Type.Optional(Type.String()),
  sourceDevice: Type.Optional(Type.String()),
  desintationAddress: Type.Optional(Type.String()),
  growDisk: Type.Boolean(),
  dryRun: Type.Boolean(),
  growPartition: Type.Number(),
  lvmRootName: Type.String(),
  address: Type.Optional(Type.String()),
  gateway: Type.Optional(Type.String()),
  nameserver: Type.Optional(Type.String()),
  dropToShell: Type.Boolean(),
  wipeDevice: Type.Boolean(),
})
export type BootyConfig = Static<typeof BootyConfigSchema>

export interface BootyRequest {
  run: Pick<Run, 'workflow' | 'options'>
  /** The machine's last. */
  inventory?: Inventory
  /** Of the image to deploy. */
  imageInfo?: ImageInfo
  imageSize?: Pick<Image, 'sizeBytes' | 'sectorBytes'>
  /** The run is held to a plan. */
  isPlanned?: boolean
  /** The operator's lock on the machine. */
  isLocked?: boolean
  /** Where BOOTy gets the image, or sends it; with an address, since it has no DNS. */
  link: string
}

export type BootyAnswer =
  /** `warning`: what the operator should know of the choice of the device. */
  | { kind: 'config'; config: BootyConfig; device: string; warning?: string }
  /** BOOTy cannot do this run, or should not. */
  | { kind: 'refused'; reason: string }

/** No partition has this number: BOOTy always runs growpart, which then changes nothing. */
const NO_PARTITION = 0
const DEFAULT_DEVICE = '/dev/sda'

const IDLE = { dryRun: false, dropToShell: false, wipeDevice: false } as const

/** The MAC that BOOTy asks for: `/52-54-00-12-34-56.bty`, also under `/booty/` and with `//`. */
export function findBootyMac(path: string): Mac | undefined {
  const name = /^\/+(?:booty\/+)?([^/]+)\.bty$/i.exec(path)?.[1]
  if (name === undefined) return undefined
  try {
    return parseMac(name)
  } catch {
    return undefined
  }
}

/** The configuration with which an unmodified BOOTy does the run. */
export function bootyAnswer(request: BootyRequest): BootyAnswer {
  const { run, link } = request
  if (run.workflow !== 'deploy' && run.workflow !== 'capture') {
    return { kind: 'refused', reason: `BOOTy cannot do the workflow "${run.workflow}"` }
  }
  if (request.isPlanned)
    return {
      kind: 'refused',
      reason:
        'The run is held to a plan, which BOOTy cannot compare with the machine; boot the machine ' +
        'with the agent, or start a run without a plan',
    }
  if (request.isLocked)
    return { kind: 'refused', reason: 'The machine is locked; unlock it to let runs work on it' }
  const choice = chooseDevice(request)
  if (choice.kind === 'refused') return choice
  const { device, warning } = choice
  const unfit = run.workflow === 'deploy' ? whyUnfit(request, device) : undefined
  if (unfit !== undefined) return { kind: 'refused', reason: unfit }
  const config =
    run.workflow === 'deploy'
      ? writeConfig(request, device)
      : ({
          ...IDLE,
          action: 'readImage',
          compressed: true,
          sourceDevice: device,
          desintationAddress: link,
          growDisk: false,
          growPartition: NO_PARTITION,
          lvmRootName: '',
        } as const)
  return { kind: 'config', config, device, ...(warning !== undefined && { warning }) }
}

function writeConfig({ run, imageInfo, link }: BootyRequest, device: string): BootyConfig {
  const { grow, network } = run.options
  const nameserver = network?.nameservers?.[0]
  return {
    ...IDLE,
    action: 'writeImage',
    compressed: true,
    sourceImage: link,
    destinationDevice: device,
    growDisk: grow,
    growPartition: grow ? findRootPartition(imageInfo) : NO_PARTITION,
    // Without a name BOOTy cannot mount the root: no growth and no network settings, but the image.
    lvmRootName: imageInfo?.rootVolume ?? '',
    ...(network && { address: network.address }),
    ...(network?.gateway !== undefined && { gateway: network.gateway }),
    ...(nameserver !== undefined && { nameserver }),
  }
}

/** BOOTy writes whatever it gets until the disk ends, so what the last inventory tells is asked here. */
function whyUnfit({ imageSize, inventory }: BootyRequest, device: string): string | undefined {
  const disk = inventory?.disks.find(({ path }) => path === device)
  if (!disk || !imageSize) return undefined
  const { sizeBytes, sectorBytes } = imageSize
  const otherwise = 'choose another disk or image, or take an inventory if the disk was changed'
  if (sizeBytes > disk.sizeBytes)
    return `The image has ${sizeBytes} bytes but disk ${describeDisk(disk)} only ${disk.sizeBytes}; ${otherwise}`
  if (sectorBytes !== disk.sectorBytes)
    return `The image is made for sectors of ${sectorBytes} bytes but disk ${describeDisk(disk)} has ${disk.sectorBytes}; ${otherwise}`
  return undefined
}

/** BOOTy grows LVM only: the partition that holds the physical volume. */
function findRootPartition(info: ImageInfo | undefined): number {
  if (info?.rootVolume === undefined) return NO_PARTITION
  if (info.rootPartition !== undefined) return info.rootPartition
  const volumes = (info.partitions ?? []).filter((one) => one.fileSystem === 'LVM2_member')
  return volumes.length === 1 ? volumes[0]!.number : NO_PARTITION
}

/** Size of the device as the last inventory has it: what a capture of it must have, too. */
export function findDeviceBytes(request: BootyRequest): number | undefined {
  const choice = chooseDevice(request)
  if (choice.kind === 'refused') return undefined
  return request.inventory?.disks.find(({ path }) => path === choice.device)?.sizeBytes
}

type DeviceChoice =
  | { kind: 'device'; device: string; warning?: string }
  | { kind: 'refused'; reason: string }

/**
 * BOOTy cannot choose, so this is done here: by the run's path if it is all that the run says, else by the
 * last inventory. Without hints the contract ends at `/dev/sda`; hints that lead to no disk are never
 * overruled.
 */
function chooseDevice({ run, inventory }: BootyRequest): DeviceChoice {
  const { path, ...others } = run.options.disk ?? {}
  const saysMore = Object.keys(others).length > 0
  if (path !== undefined && !saysMore) return { kind: 'device', device: path.trim() }
  const choice = chooseDisk(inventory?.disks ?? [], run.options.disk)
  if (choice.kind === 'chosen') return { kind: 'device', device: choice.disk.path }
  if (saysMore) return choice
  const warning = `BOOTy was told to use ${DEFAULT_DEVICE}, since no disk was named. ${choice.reason}`
  return { kind: 'device', device: DEFAULT_DEVICE, warning }
}
