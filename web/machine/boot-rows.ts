import type { BootProgress, BootStage } from '#protocol/machine/boot-progress.ts'
import { BOOT_STAGES } from '#protocol/machine/boot-progress.ts'

/** How far the last boot came, a row for each stage: those that came, and the one that is due. */

export interface BootRow {
  stage: BootStage
  title: string
  state: 'came' | 'awaited' | 'ahead' | 'left-out'
  at?: string
  detail?: string
  /** Seconds since the first stage. */
  afterSeconds?: number
}

const TITLES: Record<BootStage, string> = {
  dhcp: 'DHCP',
  loader: 'Boot loader',
  ipxe: 'iPXE',
  script: 'Boot script',
  kernel: 'Kernel',
  agent: 'Agent',
}

export function stageTitle(stage: BootStage): string {
  return TITLES[stage]
}

export function bootRows(boot: BootProgress): BootRow[] {
  const start = boot.stages[0]?.at
  const newest = Math.max(-1, ...boot.stages.map(({ stage }) => BOOT_STAGES.indexOf(stage)))
  return BOOT_STAGES.map((stage, index) => {
    const row = { stage, title: TITLES[stage] }
    const came = boot.stages.findLast((candidate) => candidate.stage === stage)
    if (came) {
      const afterSeconds = start && (Date.parse(came.at) - Date.parse(start)) / 1000
      return {
        ...row,
        state: 'came' as const,
        at: came.at,
        ...(came.detail !== undefined && { detail: came.detail }),
        ...(typeof afterSeconds === 'number' && { afterSeconds }),
      }
    }
    // UEFI HTTP boot and built-in iPXE come without some of the stages.
    if (index < newest) return { ...row, state: 'left-out' as const }
    if (boot.endsAtScript && (stage === 'kernel' || stage === 'agent'))
      return { ...row, state: 'left-out' as const }
    return { ...row, state: index === newest + 1 ? ('awaited' as const) : ('ahead' as const) }
  })
}
