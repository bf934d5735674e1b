import type { RunState, Workflow } from '#protocol/run/run.ts'

// Not taken from the schemas, which would come into the page with all that checks them.
export const RUN_STATES = [
  'queued',
  'booting',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'timed-out',
] as const satisfies RunState[]
export const RUN_WORKFLOWS = [
  'deploy',
  'capture',
  'verify',
  'wipe',
  'inventory',
] as const satisfies Workflow[]

/** Which runs a list shows, as the address of the page says it. */
export interface RunsFilter {
  state?: RunState
  workflow?: Workflow
  mac?: string
  image?: string
  plan?: string
  active?: boolean
}

export function parseRunsFilter(query: URLSearchParams): RunsFilter {
  const state = RUN_STATES.find((name) => name === query.get('state'))
  const workflow = RUN_WORKFLOWS.find((name) => name === query.get('workflow'))
  const text = (name: 'mac' | 'image' | 'plan') => query.get(name)?.trim() || undefined
  const [mac, image, plan] = [text('mac'), text('image'), text('plan')]
  return {
    ...(state && { state }),
    ...(workflow && { workflow }),
    ...(mac && { mac }),
    ...(image && { image }),
    ...(plan && { plan }),
    ...(query.get('active') === 'true' && { active: true }),
  }
}
