import { Anchor, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from 'react-router'
import { StateBadge } from '../components/StateBadge.tsx'
import { runQuery } from '../runs/run-queries.ts'
import { isActive, runTitle, STATE_HINTS } from '../runs/run-words.ts'
import { RunLog } from '../runs/RunLog.tsx'
import { useLeftText } from '../runs/RunRate.tsx'
import { RunSteps } from '../runs/RunSteps.tsx'
import { useRunLog } from '../runs/use-run-log.ts'
import type { RunDetail } from '#protocol/run/run.ts'
import { Section } from './Section.tsx'

/** The run that goes on, live, with the log of its agent. */
export function ActiveRun({ id }: { id: string }) {
  const { data: run } = useQuery(runQuery(id))
  if (!run) return <Skeleton height={220} role="status" aria-label="Loading the run" />
  return (
    <Section
      title={runTitle(run)}
      actions={
        <>
          <StateBadge state={run.state} />
          <Anchor component={Link} to={`/runs/${run.id}`} size="sm">
            Details
          </Anchor>
        </>
      }
    >
      <Stack>
        <Text size="sm" c="dimmed">
          <Standing run={run} />
        </Text>
        <RunSteps steps={run.steps} claimedBy={run.claimedBy} />
        {run.attempts > 0 && <Log run={run} />}
      </Stack>
    </Section>
  )
}

function Standing({ run }: { run: RunDetail }) {
  const left = useLeftText(run)
  return run.state === 'running' && left !== '' ? left : STATE_HINTS[run.state]
}

function Log({ run }: { run: RunDetail }) {
  return <RunLog lines={useRunLog(run, run.attempts)} isLive={isActive(run)} />
}
