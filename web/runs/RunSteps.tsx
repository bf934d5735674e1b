import { Group, Progress, Stack, Text, ThemeIcon, VisuallyHidden } from '@mantine/core'
import {
  IconAlertTriangle,
  IconCheck,
  IconCircleDashed,
  IconMinus,
  IconPlayerPlay,
} from '@tabler/icons-react'
import type { Run, Step } from '#protocol/run/run.ts'
import { bytesToDoWords, isCountedTwice } from '#protocol/run/step-bytes.ts'
import { formatBytes, formatDuration } from '../components/format.ts'
import { stepText } from '../components/RunProgress.tsx'
import { fractionDone, secondsBetween } from './time-left.ts'
import classes from './runs.module.css'

const STATES: Record<Step['state'], { icon: typeof IconCheck; color: string; word: string }> = {
  pending: { icon: IconCircleDashed, color: 'gray', word: 'not begun' },
  running: { icon: IconPlayerPlay, color: 'blue', word: 'running' },
  succeeded: { icon: IconCheck, color: 'green', word: 'done' },
  failed: { icon: IconAlertTriangle, color: 'red', word: 'failed' },
  skipped: { icon: IconMinus, color: 'gray', word: 'not needed' },
}

interface RunStepsProps {
  steps: readonly Step[]
  /** The run's error, told above: a step that has the same does not repeat it. */
  told?: string | null
  claimedBy: Run['claimedBy']
}

/** The steps of a run in order, each with its bytes and its time. */
export function RunSteps({ steps, told, claimedBy }: RunStepsProps) {
  return (
    <ol className={classes.steps}>
      {steps.map((step) => (
        <li key={step.name} aria-current={step.state === 'running' ? 'step' : undefined}>
          <StepRow step={step} isTold={step.error === told} claimedBy={claimedBy} />
        </li>
      ))}
    </ol>
  )
}

interface StepRowProps {
  step: Step
  isTold: boolean
  claimedBy: Run['claimedBy']
}

function StepRow({ step, isTold, claimedBy }: StepRowProps) {
  const { icon: Icon, color, word } = STATES[step.state]
  const fraction = fractionDone(step)
  return (
    <Group gap="sm" wrap="nowrap" align="flex-start">
      <ThemeIcon
        variant={step.state === 'pending' ? 'default' : 'filled'}
        color={color}
        radius="xl"
      >
        <Icon size={16} aria-hidden />
      </ThemeIcon>
      <Stack gap={4} className={classes.stepBody}>
        <Group justify="space-between" gap="xs" wrap="wrap">
          <Text
            fw={step.state === 'running' ? 600 : 500}
            c={step.state === 'pending' ? 'dimmed' : undefined}
          >
            {stepText(step.name)}
            <VisuallyHidden>: {word}</VisuallyHidden>
          </Text>
          <Text size="sm" c="dimmed" className={classes.figures}>
            {factsText(step, claimedBy)}
          </Text>
        </Group>
        {step.state === 'running' && (
          <Progress
            value={fraction === undefined ? 100 : fraction * 100}
            animated={fraction === undefined}
            striped={fraction === undefined}
            aria-label={`${stepText(step.name)}, ${progressWord(fraction)}`}
          />
        )}
        {step.message !== undefined && <Text size="sm">{step.message}</Text>}
        {step.error !== undefined && !isTold && (
          <Text size="sm" c="var(--mantine-color-error)" className={classes.errorText}>
            {step.error}
          </Text>
        )}
      </Stack>
    </Group>
  )
}

function progressWord(fraction: number | undefined): string {
  return fraction === undefined ? 'at work' : `${Math.floor(fraction * 100)} % done`
}

function factsText(step: Step, claimedBy: Run['claimedBy']): string {
  const took = secondsBetween(step.startedAt, step.finishedAt)
  const facts = [
    step.state === 'skipped' ? 'not needed' : bytesText(step, claimedBy),
    took !== undefined && took >= 1 ? formatDuration(took) : '',
  ]
  return facts.filter((fact) => fact !== '').join(' · ')
}

function bytesText(step: Step, claimedBy: Run['claimedBy']): string {
  const { name, state, bytesDone, bytesTotal } = step
  if (bytesTotal === 0) return ''
  if (state !== 'succeeded')
    return `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}${bytesToDoWords(name, claimedBy)}`
  const words = isCountedTwice(name, claimedBy) ? ' written and read back' : ''
  return `${formatBytes(bytesTotal)}${words}`
}
