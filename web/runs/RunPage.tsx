import { Anchor, Grid, Select, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useParams } from 'react-router'
import type { RunDetail } from '#protocol/run/run.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { Mac } from '../components/Mac.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { StateBadge } from '../components/StateBadge.tsx'
import { BootTimeline } from '../machine/BootTimeline.tsx'
import { machineQuery } from '../machine/machine-queries.ts'
import { Section } from '../machine/Section.tsx'
import { runQuery } from './run-queries.ts'
import { isActive, runTitle } from './run-words.ts'
import { RunActions } from './RunActions.tsx'
import { RunLog } from './RunLog.tsx'
import { RunOptionsList } from './RunOptionsList.tsx'
import { RunRate } from './RunRate.tsx'
import { RunReceipt } from './RunReceipt.tsx'
import { RunSteps } from './RunSteps.tsx'
import { RunTimes } from './RunTimes.tsx'
import { RunVerdict } from './RunVerdict.tsx'
import { useNames } from './use-names.ts'
import { useRateSamples } from './use-rate-samples.ts'
import { useRunLog } from './use-run-log.ts'

export function RunPage() {
  const { id = '' } = useParams()
  const { data: run, error, refetch } = useQuery(runQuery(id))
  if (error && !run) {
    return (
      <>
        <PageTitle title="Run" back={{ to: '/runs', label: 'Runs' }} />
        <ErrorAlert error={error} onRetry={() => void refetch()} />
      </>
    )
  }
  if (!run) return <Skeleton height={480} role="status" aria-label="Loading the run" />
  return <RunView key={run.id} run={run} />
}

function RunView({ run }: { run: RunDetail }) {
  const { data: machine } = useQuery(machineQuery(run.mac))
  const names = useNames()
  const samples = useRateSamples(run)
  const name = machine?.name ?? names.get(run.mac) ?? run.mac
  const isWaiting = run.state === 'queued' || run.state === 'booting'
  return (
    <>
      <PageTitle
        title={runTitle(run)}
        aside={<StateBadge state={run.state} />}
        back={{ to: '/runs', label: 'Runs' }}
        subtitle={
          <>
            on{' '}
            <Anchor component={Link} to={`/machines/${run.mac}`} inherit underline="always">
              {name}
            </Anchor>
            {name !== run.mac && (
              <>
                {' '}
                <Mac mac={run.mac} />
              </>
            )}
            , asked for <RelativeTime at={run.createdAt} />
            {run.plan && (
              <>
                {' · '}
                <Anchor
                  component={Link}
                  to={`/runs/fleet?plan=${run.plan}`}
                  inherit
                  underline="always"
                >
                  all runs of its plan
                </Anchor>
              </>
            )}
          </>
        }
        actions={<RunActions run={run} machineName={name} />}
      />
      <Stack>
        <RunVerdict run={run} />
        <Grid>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <Stack>
              <Section title="Steps">
                <RunSteps steps={run.steps} told={run.error} claimedBy={run.claimedBy} />
              </Section>
              {(run.state === 'running' || samples.length > 0) && (
                <Section title="Rate">
                  <RunRate run={run} samples={samples} />
                </Section>
              )}
              {isWaiting && (
                <Section title="Boot">
                  <BootTimeline machine={machine} />
                </Section>
              )}
              {run.receipt && (
                <Section title="Receipt">
                  <RunReceipt run={run} receipt={run.receipt} machineName={name} />
                </Section>
              )}
              <LogSection run={run} />
            </Stack>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 5 }}>
            <Stack>
              <Section title="Times">
                <RunTimes run={run} />
              </Section>
              <Section title="Settings">
                <RunOptionsList run={run} />
              </Section>
            </Stack>
          </Grid.Col>
        </Grid>
      </Stack>
    </>
  )
}

function LogSection({ run }: { run: RunDetail }) {
  const [chosen, setChosen] = useState<number>()
  const attempt = chosen ?? run.attempts
  const lines = useRunLog(run, attempt)
  const attempts = Array.from({ length: run.attempts }, (_, index) => `${index + 1}`)
  return (
    <Section
      title="Log"
      actions={
        attempts.length > 1 && (
          <Select
            size="xs"
            w={130}
            aria-label="Attempt"
            data={attempts.map((value) => ({ value, label: `Attempt ${value}` }))}
            value={`${attempt}`}
            onChange={(value) => setChosen(value === null ? undefined : Number(value))}
            allowDeselect={false}
          />
        )
      }
    >
      {attempt === 0 ? (
        <Text size="sm" c="dimmed">
          No agent worked on this run {isActive(run) ? 'yet' : 'at all'}; its log begins with the
          first one.
        </Text>
      ) : (
        <RunLog lines={lines} isLive={isActive(run) && attempt === run.attempts} />
      )}
    </Section>
  )
}
