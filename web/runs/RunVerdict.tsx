import { Alert, List, Stack, Text } from '@mantine/core'
import {
  IconAlertTriangle,
  IconBan,
  IconCheck,
  IconPlugConnectedX,
  IconTruckDelivery,
} from '@tabler/icons-react'
import type { Run } from '#protocol/run/run.ts'
import { MAX_ATTEMPTS, describeSilence, silenceOf } from '#protocol/run/run-silence.ts'
import { formatClock } from '../components/format.ts'
import { useNow } from '../components/use-now.ts'
import { adviceOf, type DiskOutcome } from './outcome.ts'
import { isActive, STATE_HINTS } from './run-words.ts'
import classes from './runs.module.css'

/** How the run stands or ended, what that means for the disk, and what to do next. */
export function RunVerdict({ run }: { run: Run }) {
  if (isActive(run)) return <Waiting run={run} />
  const { disk, sentence, next } = adviceOf(run)
  const look = lookOf(run, disk)
  return (
    <Alert color={look.color} icon={<look.icon />} title={look.title} role="status">
      <Stack gap="xs">
        {run.error !== null && (
          <Text size="sm" fw={600} className={classes.errorText}>
            {run.error}
          </Text>
        )}
        {run.workflow !== 'inventory' && <Text size="sm">{sentence}</Text>}
        {next.length > 0 && (
          <div>
            <Text size="sm">What to do next:</Text>
            <List size="sm" type="ordered">
              {next.map((text) => (
                <List.Item key={text}>{text}</List.Item>
              ))}
            </List>
          </div>
        )}
      </Stack>
    </Alert>
  )
}

function Waiting({ run }: { run: Run }) {
  const silence = useNow((now) => {
    const found = silenceOf(run, now)
    return found ? describeSilence(found, formatClock) : ''
  })
  if (silence !== '' && !run.cancelRequested)
    return (
      <Alert color="yellow" icon={<IconPlugConnectedX />} title="Silent" role="status">
        {/* Each second of it would be read out. */}
        <span aria-live="off">{silence}.</span>
      </Alert>
    )
  const text = run.cancelRequested
    ? 'The run is being cancelled: it ends at the next report of the agent, or after a minute of silence.'
    : run.state === 'running' && run.attempts > 1
      ? `The machine booted again before the run had ended: this is attempt ${run.attempts} of at most ${MAX_ATTEMPTS}, and what the one before finished need not be done again.`
      : STATE_HINTS[run.state]
  return (
    <Text role="status" c="dimmed">
      {text}
    </Text>
  )
}

function lookOf(run: Run, disk: DiskOutcome) {
  switch (run.state) {
    case 'succeeded':
      return disk === 'delivered'
        ? { color: 'yellow', icon: IconTruckDelivery, title: 'Delivered, not verified' }
        : { color: 'green', icon: IconCheck, title: 'Succeeded' }
    case 'cancelled':
      return { color: 'gray', icon: IconBan, title: 'Cancelled' }
    case 'timed-out':
      return { color: 'orange', icon: IconAlertTriangle, title: 'Timed out' }
    default:
      // What it was to find out; whether that is bad, the operator knows.
      return disk === 'differs'
        ? { color: 'yellow', icon: IconAlertTriangle, title: 'Differs from the image' }
        : { color: 'red', icon: IconAlertTriangle, title: 'Failed' }
  }
}
