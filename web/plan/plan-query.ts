import { parseMac, MAC_PATTERN } from '#protocol/mac.ts'
import type { PlanRequest } from '#protocol/run/plan.ts'

/** What is to be planned, as the address of the page says it: `?workflow=deploy&macs=…&image=…`. */
export interface PlanDraft {
  workflow: PlanRequest['workflow']
  macs: string[]
  image: string
  grow: boolean
  hostname: string
  after: 'reboot' | 'poweroff'
  zeroUnused: boolean
  identity: 'reset' | 'keep'
  force: boolean
  allowShrink: boolean
  wholeDisk: boolean
  /** Serial of the disk that is meant; empty: the only candidate, or the machine's own hints. */
  diskSerial: string
}

export const PLANNED_WORKFLOWS = ['deploy', 'capture', 'wipe'] as const

export function parsePlanDraft(query: URLSearchParams): PlanDraft {
  const workflow = PLANNED_WORKFLOWS.find((name) => name === query.get('workflow')) ?? 'deploy'
  return {
    workflow,
    macs: macsOf(query.get('macs') ?? query.get('mac') ?? ''),
    image: query.get('image') ?? '',
    grow: query.get('grow') !== 'false',
    hostname: query.get('hostname') ?? '',
    after: query.get('after') === 'poweroff' ? 'poweroff' : 'reboot',
    zeroUnused: query.get('zeroUnused') === 'true',
    identity: query.get('identity') === 'keep' ? 'keep' : 'reset',
    force: query.get('force') === 'true',
    allowShrink: query.get('allowShrink') === 'true',
    wholeDisk: query.get('wholeDisk') === 'true',
    diskSerial: query.get('diskSerial') ?? '',
  }
}

/** Only what differs from the default, so that addresses stay short enough to be read. */
export function planSearch(draft: Partial<PlanDraft>): string {
  const query = new URLSearchParams()
  if (draft.workflow) query.set('workflow', draft.workflow)
  if (draft.macs?.length) query.set('macs', draft.macs.join(','))
  if (draft.image) query.set('image', draft.image)
  if (draft.grow === false) query.set('grow', 'false')
  if (draft.hostname) query.set('hostname', draft.hostname)
  if (draft.after === 'poweroff') query.set('after', 'poweroff')
  if (draft.zeroUnused) query.set('zeroUnused', 'true')
  if (draft.identity === 'keep') query.set('identity', 'keep')
  if (draft.force) query.set('force', 'true')
  if (draft.allowShrink) query.set('allowShrink', 'true')
  if (draft.wholeDisk) query.set('wholeDisk', 'true')
  if (draft.diskSerial) query.set('diskSerial', draft.diskSerial)
  // A comma and a colon need no escape in a query, and unescaped they can be read.
  return query.toString().replaceAll('%2C', ',').replaceAll('%3A', ':')
}

/** Where runs are planned, with this filled in. */
export function planPath(draft: Partial<PlanDraft>): string {
  return `/plan?${planSearch(draft)}`
}

/** The body of `POST /api/plans`. Settings that mean nothing to the workflow are left out. */
export function planRequest(draft: PlanDraft): PlanRequest {
  const { workflow, macs } = draft
  const isSingle = macs.length === 1
  return {
    workflow,
    macs,
    after: draft.after,
    ...(workflow !== 'wipe' && draft.image && { image: draft.image }),
    ...(isSingle && draft.diskSerial && { disk: { serial: draft.diskSerial } }),
    ...(workflow === 'capture' && draft.wholeDisk && { wholeDisk: true }),
    ...(workflow === 'deploy' && {
      grow: draft.grow,
      zeroUnused: draft.zeroUnused,
      identity: draft.identity,
      force: draft.force,
      allowShrink: draft.allowShrink,
      ...(isSingle && draft.hostname && { hostname: draft.hostname }),
    }),
  }
}

function macsOf(text: string): string[] {
  const words = text.split(/[,\s]+/).filter((word) => new RegExp(MAC_PATTERN).test(word))
  return [...new Set(words.map(parseMac))]
}

/** The draft that a plan was made from, to change something in it. */
export function draftOf({ workflow, macs, image, disk, ...request }: PlanRequest): PlanDraft {
  return {
    workflow,
    macs: [...macs],
    image: image ?? '',
    grow: request.grow ?? true,
    hostname: request.hostname ?? '',
    after: request.after ?? 'reboot',
    zeroUnused: request.zeroUnused ?? false,
    identity: request.identity ?? 'reset',
    force: request.force ?? false,
    allowShrink: request.allowShrink ?? false,
    wholeDisk: request.wholeDisk ?? false,
    diskSerial: disk?.serial ?? '',
  }
}
