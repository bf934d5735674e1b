import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { NetworkSettings } from '#protocol/machine/machine.ts'
import { hostnameFrom } from '#protocol/names.ts'
import {
  STEPS_OF_WORKFLOW,
  type RunOptions,
  type RunRequest,
  type Step,
} from '#protocol/run/run.ts'
import { createStep } from './rules.ts'

/** What of a machine goes into its runs. */
export interface MachineSettings {
  mac: string
  name: string
  hostname: string | null
  image: string | null
  locked: boolean
  disk: DiskHints | null
  network: NetworkSettings | null
}

export interface Refused {
  status: 409 | 422
  code: string
  message: string
}

/** Why no run may be made of the request, whatever images there are; undefined if one may. */
export function refuseRun(request: RunRequest, machine: MachineSettings): Refused | undefined {
  const { workflow } = request
  if (machine.locked && workflow !== 'inventory' && workflow !== 'verify')
    return {
      status: 409,
      code: 'machine-locked',
      message: `Machine "${machine.name}" (${machine.mac}) is locked; unlock it first`,
    }
  const { minBytes = 0, maxBytes = Infinity } = request.disk ?? machine.disk ?? {}
  if (minBytes > maxBytes)
    return senseless(
      'disk-impossible',
      `No disk has at least ${minBytes} and at most ${maxBytes} bytes; correct the disk hints`,
    )
  if (workflow === 'deploy' && !imageOf(request, machine))
    return senseless(
      'image-missing',
      `Machine "${machine.name}" (${machine.mac}) has no image assigned; name one in the run or assign it`,
    )
  if (workflow === 'capture' && !request.image)
    return senseless('image-missing', 'A capture needs the name that its image is to have')
  if (workflow === 'capture' && request.image?.includes('@'))
    return senseless(
      'image-version',
      `A capture becomes the next version of its image by itself; name the image without "@", not "${request.image}"`,
    )
  if ((workflow === 'wipe' || workflow === 'inventory') && request.image)
    return senseless('image-unused', `A run of workflow "${workflow}" has no use for an image`)
  return undefined
}

/** Of an image that the store has lost a part of. */
export function whyDamaged(image: string, chunks: number): string {
  const what = chunks === 1 ? 'a chunk' : `${chunks} chunks`
  return `Image "${image}" lacks ${what} that the store has lost; capture or upload its content again, or choose another image`
}

function senseless(code: string, message: string): Refused {
  return { status: 422, code, message }
}

/** The image that the run is about: of a deploy, by default the machine's. */
export function imageOf(request: RunRequest, machine: MachineSettings): string | undefined {
  if (request.workflow === 'deploy') return request.image ?? machine.image ?? undefined
  return request.image
}

/** Every default filled in: from the request, else from the machine, else ours. */
export function runOptions(request: RunRequest, machine: MachineSettings): RunOptions {
  const disk = request.disk ?? machine.disk ?? undefined
  const network = request.network ?? machine.network ?? undefined
  const hostname = request.hostname ?? machine.hostname ?? hostnameFrom(machine.name)
  return {
    ...(disk && { disk }),
    ...(network && { network }),
    ...(hostname && { hostname }),
    grow: request.grow ?? true,
    after: request.after ?? 'reboot',
    zeroUnused: request.zeroUnused ?? false,
    ...(request.wholeDisk && { wholeDisk: true }),
    identity: request.identity ?? 'reset',
    force: request.force ?? false,
    ...(request.allowShrink && { allowShrink: true }),
  }
}

export function createSteps(workflow: RunRequest['workflow']): Step[] {
  return STEPS_OF_WORKFLOW[workflow].map(createStep)
}
