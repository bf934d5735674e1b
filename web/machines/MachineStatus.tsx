import { Group, Text, Tooltip } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { awaitedStage, BOOT_STAGES, type BootProgress } from '#protocol/boot-progress.ts'
import type { Machine } from '#protocol/machine.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { RunProgress } from '../components/RunProgress.tsx'
import { useNow } from '../components/use-now.ts'
import { stageTitle } from '../machine/boot-rows.ts'
import classes from './machines.module.css'

/** What a machine is doing: the step of its run, or how far its boot came and what it waits for. */
export function MachineStatus({ machine }: { machine: Machine }) {
  const { run, boot, state } = machine
  if (run?.state === 'running') return <RunProgress {...run} compact />
  if (boot && (state === 'discovered' || state === 'booting')) return <BootStatus boot={boot} />
  if (run?.state === 'queued')
    return (
      <Text size="xs" c="dimmed" truncate>
        To {run.workflow} at its next boot, since <RelativeTime at={run.createdAt} />
      </Text>
    )
  if (run)
    return (
      <Text size="xs" c="dimmed" truncate>
        Was told to {run.workflow}, <RelativeTime at={run.createdAt} />
      </Text>
    )
  return null
}

function BootStatus({ boot }: { boot: BootProgress }) {
  const isLate = useNow((now) => (awaitedStage(boot, now)?.isLate ? 1 : 0)) === 1
  const awaited = awaitedStage(boot, new Date())
  const came = new Set(boot.stages.map(({ stage }) => stage))
  const newest = boot.stages.at(-1)
  const dots = (
    <span className={classes.dots} aria-hidden>
      {BOOT_STAGES.map((stage) => (
        <span
          key={stage}
          data-state={came.has(stage) ? 'came' : stage === awaited?.stage ? 'awaited' : undefined}
          data-late={isLate || undefined}
        />
      ))}
    </span>
  )
  if (!awaited)
    return (
      <Group gap={8} wrap="nowrap">
        {dots}
        <Text size="xs" truncate>
          {newest && stageTitle(newest.stage)}
          {newest?.detail !== undefined && `: ${newest.detail}`}
        </Text>
      </Group>
    )
  const text = (
    <Text size="xs" truncate className={isLate ? classes.late : undefined}>
      {isLate && <IconAlertTriangle size={12} aria-hidden className={classes.sign} />}
      {isLate
        ? `No ${stageTitle(awaited.stage)} since `
        : `Waits for ${stageTitle(awaited.stage)} since `}
      <RelativeTime at={awaited.since} />
    </Text>
  )
  return (
    <Group gap={8} wrap="nowrap">
      {dots}
      {isLate ? (
        <Tooltip multiline w={320} label={`Check that ${awaited.checks.join('; ')}`}>
          {text}
        </Tooltip>
      ) : (
        text
      )}
    </Group>
  )
}
