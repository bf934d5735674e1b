import { awaitedStage, type BootProgress, type BootStage } from '#protocol/machine/boot-progress.ts'
import { ago, duration, printable } from './text.ts'

/** How far a boot came, and what to check when it goes no further. */

const NAMES: Record<BootStage, string> = {
  dhcp: 'DHCP',
  loader: 'boot loader',
  ipxe: 'iPXE',
  script: 'script',
  kernel: 'kernel',
  agent: 'agent',
}

export function describeBoot(boot: BootProgress | undefined): string | undefined {
  const last = boot?.stages.at(-1)
  if (!last) return undefined
  return `${NAMES[last.stage]}${last.detail ? ` (${printable(last.detail)})` : ''} ${ago(last.at)}`
}

/** Each stage on a line, with the time since the one before; then what is missing. */
export function bootLines(boot: BootProgress, now = Date.now()): string[] {
  const lines = boot.stages.map(({ stage, at, detail }, index) => {
    const before = boot.stages[index - 1]
    const after = before && (Date.parse(at) - Date.parse(before.at)) / 1000
    const times = after === undefined ? ago(at, now) : `+${duration(Math.max(0, after))}`
    return `${NAMES[stage].padEnd(11)} ${times.padEnd(12)} ${printable(detail ?? '')}`.trimEnd()
  })
  const stuck = findStuck(boot, now)
  return stuck ? [...lines, stuck] : lines
}

/** A sentence if the next stage should have come by now: since when, and what to check first. */
export function findStuck(boot: BootProgress | undefined, now = Date.now()): string | undefined {
  const awaited = awaitedStage(boot, new Date(now))
  if (!awaited?.isLate) return undefined
  const waitedSeconds = (now - Date.parse(awaited.since)) / 1000
  return `no ${NAMES[awaited.stage]} for ${duration(waitedSeconds)}; check that: ${awaited.checks.join('; ')}`
}
