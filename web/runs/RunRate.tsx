import { Group, Skeleton, Stack, Text } from '@mantine/core'
import { lazy, Suspense } from 'react'
import type { Run } from '#protocol/run/run.ts'
import { formatRate, secondsLeft } from '../components/format.ts'
import { stepText } from '../components/RunProgress.tsx'
import type { RateSample } from './rate-samples.ts'
import { currentStep } from './run-words.ts'
import { spokenEstimate } from './time-left.ts'
import { useIsSilent } from './use-is-silent.ts'
import classes from './runs.module.css'

const RateChart = lazy(async () => {
  const { RateChart: component } = await import('./RateChart.tsx')
  return { default: component }
})

const CHART_PIXELS = 140
/** A line needs two points. */
const FEWEST_SAMPLES = 2

/** How fast the run goes now, how fast it went, and how long it still takes. */
export function RunRate({ run, samples }: { run: Run; samples: readonly RateSample[] }) {
  const step = currentStep(run)
  const isSilent = useIsSilent(run)
  const leftText = useLeftText(run)
  const rate = step?.state === 'running' && !isSilent ? step.bytesPerSecond : 0
  return (
    <Stack gap="xs">
      <Group justify="space-between" align="baseline">
        <Text fw={600} className={classes.figures}>
          {formatRate(rate)}
        </Text>
        <Text size="sm" c="dimmed">
          {leftText}
        </Text>
      </Group>
      {/* The height is there before the chart is: nothing below it moves. */}
      <div style={{ height: CHART_PIXELS }} aria-hidden>
        {samples.length < FEWEST_SAMPLES ? (
          <Text size="sm" c="dimmed">
            The chart begins with the next reports of the agent.
          </Text>
        ) : (
          <Suspense fallback={<Skeleton height={CHART_PIXELS} />}>
            <RateChart samples={samples} />
          </Suspense>
        )}
      </div>
    </Stack>
  )
}

/** What can honestly be said: this step alone, since those after it count no bytes yet. */
export function useLeftText(run: Run): string {
  const isSilent = useIsSilent(run)
  const step = currentStep(run)
  if (step?.state !== 'running') return ''
  if (isSilent) return 'No time left to tell until the agent is back'
  const seconds = secondsLeft(step)
  if (step.bytesTotal === 0) return `${stepText(step.name)}: no bytes to count`
  if (seconds === undefined) return 'No time left to tell while nothing moves'
  const isLast = run.steps.at(-1)?.name === step.name
  return `${capitalized(spokenEstimate(seconds))} left${isLast ? '' : ' for this step'}`
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
