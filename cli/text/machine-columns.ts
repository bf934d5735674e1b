import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { describeBoot } from './boot-stages.ts'
import type { Column } from './table.ts'
import { ago, paintState, percent } from './text.ts'

export const MACHINE_COLUMNS: Column<Machine>[] = [
  { head: 'Name', cell: ({ name }) => name, key: true },
  { head: 'MAC', cell: ({ mac }) => mac, key: true },
  { head: 'State', cell: ({ state }) => state, paint: paintState, min: 10 },
  { head: 'Image', cell: ({ image }) => image, min: 12 },
  { head: 'Progress', cell: progressOf, min: 24 },
  { head: 'Model', cell: ({ product }) => product },
  { head: 'Serial', cell: ({ serial }) => serial },
  { head: 'Tags', cell: ({ tags, locked }) => [...(locked ? ['LOCKED'] : []), ...tags].join(',') },
  { head: 'Seen', cell: ({ lastSeenAt }) => ago(lastSeenAt) },
]

/** Of the run, else of the boot. */
export function progressOf({ run, boot, state }: Machine): string | undefined {
  if (run?.state === 'running') {
    const share = run.bytesTotal > 0 ? ` ${percent(run.bytesDone, run.bytesTotal)} %` : ''
    const rate = run.bytesPerSecond > 0 ? ` ${formatBytes(Math.round(run.bytesPerSecond))}/s` : ''
    return `${run.step ?? run.workflow}${share}${rate}`
  }
  if (run && run.state === 'queued') return `${run.workflow} at next boot`
  return run || state === 'discovered' ? describeBoot(boot) : undefined
}
