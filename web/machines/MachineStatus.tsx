import { Tooltip } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { awaitedStage, BOOT_STAGES, type BootProgress } from '#protocol/machine/boot-progress.ts'
import type { ActiveRun, Machine } from '#protocol/machine/machine.ts'
import { serverNow } from '../api/server-clock.ts'
import { formatDuration } from '../components/format.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { RunProgress } from '../components/RunProgress.tsx'
import { useNow } from '../components/use-now.ts'
import { stageTitle } from '../machine/boot-rows.ts'
import { useIsSilent } from '../runs/use-is-silent.ts'
import classes from './machines.module.css'

/** What a machine is doing: the step of its run, or how far its boot came and what it waits for. */
export function MachineStatus({ machine }: { machine: Machine }) {
  const { run, boot, state } = machine
  if (run?.state === 'running') return <RunningStatus run={run} />
  if (boot && (state === 'discovered' || state === 'booting')) return <BootStatus boot={boot} />
  if (run?.state === 'queued')
    return (
      <div className={classes.line}>
        {WORKFLOW_TEXTS[run.workflow]} at its next boot; asked <RelativeTime at={run.createdAt} />
      </div>
    )
  if (run)
    return (
      <div className={classes.line}>
        {WORKFLOW_TEXTS[run.workflow]}; asked <RelativeTime at={run.createdAt} />
      </div>
    )
  return null
}

function RunningStatus({ run }: { run: ActiveRun }) {
  return <RunProgress {...run} isSilent={useIsSilent(run)} compact />
}

const WORKFLOW_TEXTS = {
  deploy: 'Deploys',
  capture: 'Is captured',
  verify: 'Is verified',
  wipe: 'Is wiped',
  inventory: 'Is inventoried',
}

function BootStatus({ boot }: { boot: BootProgress }) {
  const awaited = awaitedStage(boot, serverNow())
  const newest = boot.stages.at(-1)
  if (awaited) return <Awaited boot={boot} since={awaited.since} />
  return (
    <div className={classes.line}>
      {newest && stageTitle(newest.stage)}
      {newest?.detail !== undefined && `: ${newest.detail}`}
    </div>
  )
}

function Awaited({ boot, since }: { boot: BootProgress; since: string }) {
  const isLate = useNow((now) => (awaitedStage(boot, now)?.isLate ? 1 : 0)) === 1
  const waited = useNow((now) => formatDuration(roughSeconds(since, now)))
  const awaited = awaitedStage(boot, serverNow())
  if (!awaited) return null
  const title = stageTitle(awaited.stage)
  if (!isLate)
    return (
      <div className={`${classes.status} tabular`}>
        Waits for: {title}, {waited}
      </div>
    )
  return (
    <Tooltip
      multiline
      events={{ hover: true, focus: true, touch: true }}
      w={340}
      label={`No ${title} for ${waited}. Check that ${awaited.checks.join('; ')}`}
    >
      <div className={`${classes.status} ${classes.late}`}>
        <IconAlertTriangle size={12} aria-hidden className={classes.sign} />
        No {title} for {waited}
      </div>
    </Tooltip>
  )
}

/** After the first minute, seconds only make it restless. */
function roughSeconds(since: string, now: Date): number {
  const seconds = (now.getTime() - Date.parse(since)) / 1000
  return seconds < 60 ? seconds : Math.floor(seconds / 60) * 60
}

/** The stages of a boot, a dot each; the words beside it say the same. */
export function BootDots({ machine: { boot, state } }: { machine: Machine }) {
  if (!boot || (state !== 'discovered' && state !== 'booting')) return null
  const awaited = awaitedStage(boot, serverNow())
  const came = new Set(boot.stages.map(({ stage }) => stage))
  return (
    <span className={classes.dots} aria-hidden>
      {BOOT_STAGES.map((stage) => (
        <span
          key={stage}
          data-state={came.has(stage) ? 'came' : stage === awaited?.stage ? 'awaited' : undefined}
          data-late={awaited?.isLate || undefined}
        />
      ))}
    </span>
  )
}
