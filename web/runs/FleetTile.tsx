import { Group, Progress, Text } from '@mantine/core'
import type { CSSProperties } from 'react'
import { Link } from 'react-router'
import type { Run } from '#protocol/run/run.ts'
import { formatRate, secondsLeft } from '../components/format.ts'
import { stepText } from '../components/RunProgress.tsx'
import { stateColor, stateIcon, stateText } from '../components/StateBadge.tsx'
import { currentStep } from './run-words.ts'
import { fractionDone, spokenEstimate } from './time-left.ts'
import classes from './runs.module.css'

interface FleetTileProps {
  run: Run
  name: string
  /** Its agent says nothing: the last rate holds no longer. */
  isSilent: boolean
}

/** A machine at work, as small as it can be told: state in words, icon and colour, step, progress. */
export function FleetTile({ run, name, isSilent }: FleetTileProps) {
  const Icon = stateIcon(run.state)
  const color = stateColor(run.state)
  const step = currentStep(run)
  const isAtWork = run.state === 'running' && step?.state === 'running'
  const fraction = isAtWork ? fractionDone(step) : undefined
  return (
    <Link
      to={`/runs/${run.id}`}
      className={classes.tile}
      style={{ '--tile-color': `var(--mantine-color-${color}-6)` } as CSSProperties}
    >
      <Group justify="space-between" gap={6} wrap="nowrap">
        <Text fw={600} truncate>
          {name}
        </Text>
        <Icon
          size={18}
          aria-hidden
          color={`var(--mantine-color-${color}-6)`}
          style={{ flex: 'none' }}
        />
      </Group>
      <Text size="sm">
        {run.cancelRequested && run.state !== 'cancelled' ? 'Cancelling' : stateText(run.state)}
        {isAtWork && fraction !== undefined && ` · ${Math.floor(fraction * 100)} %`}
      </Text>
      {isAtWork && (
        <Progress value={fraction === undefined ? 100 : fraction * 100} aria-hidden size="sm" />
      )}
      <Text size="xs" c="dimmed" lineClamp={2} className={classes.figures}>
        {detailOf(run, isSilent)}
      </Text>
    </Link>
  )
}

function detailOf(run: Run, isSilent: boolean): string {
  if (run.error !== null) return run.error
  const step = currentStep(run)
  if (run.state === 'queued') return 'Waits for the machine to boot'
  if (run.state === 'booting') return 'Loads the agent'
  if (run.state !== 'running' || !step) return ''
  if (isSilent) return `${stepText(step.name)} · silent`
  const seconds = secondsLeft(step)
  const rate = step.bytesPerSecond > 0 ? formatRate(step.bytesPerSecond) : ''
  const time = seconds === undefined ? '' : `${spokenEstimate(seconds)} left`
  return [stepText(step.name), rate, time].filter(Boolean).join(' · ')
}
