import { Progress, Stack, Text } from '@mantine/core'
import classes from './RunProgress.module.css'
import { formatBytes, formatDuration, formatRate, secondsLeft } from './format.ts'

interface RunProgressProps {
  /** `write-image`. */
  step: string | null | undefined
  bytesDone: number
  bytesTotal: number
  bytesPerSecond: number
  /** Its agent says nothing: how fast it was holds no longer. */
  isSilent?: boolean
  /** One line, for a row of a table. */
  compact?: boolean
}

/** How far a step is, how fast, and how long it still takes. */
export function RunProgress(props: RunProgressProps) {
  const { step, bytesDone, bytesTotal, compact = false, isSilent = false } = props
  const bytesPerSecond = isSilent ? 0 : props.bytesPerSecond
  const percent = bytesTotal > 0 ? Math.min(100, (bytesDone / bytesTotal) * 100) : 0
  const left = secondsLeft({ bytesDone, bytesTotal, bytesPerSecond })
  const name = stepText(step)
  const facts = [
    bytesTotal > 0 &&
      (compact
        ? `${Math.floor(percent)} %`
        : `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)} (${Math.floor(percent)} %)`),
    left !== undefined && bytesDone < bytesTotal && `${formatDuration(left)} left`,
    bytesPerSecond > 0 && formatRate(bytesPerSecond),
    isSilent && 'no report',
  ].filter((fact) => fact !== false)
  if (compact)
    return (
      <div className={classes.compact}>
        <div className={`${classes.text} tabular`}>{[...facts, name].join(' · ')}</div>
        <div
          className={classes.track}
          role="progressbar"
          aria-label={name}
          aria-valuenow={Math.floor(percent)}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuetext={facts.join(', ') || 'begins'}
        >
          <div className={classes.done} style={{ width: `${percent}%` }} />
        </div>
      </div>
    )
  return (
    <Stack gap={4} w="100%">
      <Text size="xs" className="tabular" truncate>
        {[name, ...facts].join(' · ')}
      </Text>
      <Progress.Root size={10}>
        <Progress.Section
          value={percent}
          aria-label={name}
          aria-valuetext={facts.join(', ') || 'begins'}
        />
      </Progress.Root>
    </Stack>
  )
}

const STEP_TEXTS: Record<string, string> = {
  'check-machine': 'Check the machine',
  'write-image': 'Write the image',
  'read-image': 'Read the disk',
  'grow-root': 'Grow the root',
  'reset-identity': 'Reset the identity',
  'set-identity': 'Set name and network',
  'boot-entry': 'Boot entry',
  'compare-disk': 'Compare the disk',
  'wipe-disk': 'Wipe the disk',
  inventory: 'Inventory',
}

/** A step as people call it. */
export function stepText(step: string | null | undefined): string {
  if (!step) return 'Begins'
  return STEP_TEXTS[step] ?? step
}
