import type { Image } from '#protocol/image/image-info.ts'
import type { Lease } from '#protocol/lease.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Run } from '#protocol/run/run.ts'

/** What `GET /api/events` sends; of a deleted resource its last state. */
export type LiveEvent =
  | { kind: 'machine'; data: Machine & { deleted?: boolean } }
  | { kind: 'run'; data: Run & { deleted?: boolean } }
  | { kind: 'image'; data: Image & { deleted?: boolean } }
  | { kind: 'lease'; data: Lease & { deleted?: boolean } }
  | { kind: 'notice'; data: unknown }
  | { kind: 'progress'; data: Progress }

/** How far the agent got with a step: once a second a run, never stored. */
export interface Progress {
  run: string
  mac: string
  step: string
  state: string
  bytesDone: number
  bytesTotal: number
  bytesPerSecond: number
  lastReportAt: string | null
  timesOutAt: string | null
}

export const LIVE_KINDS = ['machine', 'run', 'image', 'lease', 'notice', 'progress'] as const
