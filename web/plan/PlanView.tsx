import { Alert, Button, Group, Skeleton, Stack, Text } from '@mantine/core'
import { IconClockX } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { Link, useParams } from 'react-router'
import type { Plan } from '#protocol/run/plan.ts'
import { useMay } from '../api/session.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { PageTitle } from '../components/PageTitle.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { useNow } from '../components/use-now.ts'
import { canStart, inReadingOrder, isExpired, planTitle } from './plan-items.ts'
import { planQuery } from './plan-queries.ts'
import { draftOf, planPath } from './plan-query.ts'
import { PlanAgainButton } from './PlanAgainButton.tsx'
import { PlanItemCard } from './PlanItemCard.tsx'
import { StartPlan } from './StartPlan.tsx'

/** With more, each is told in a line until it is opened. */
const MOST_OPEN = 3

/** What would happen to which disks, to be read before anything does. */
export function PlanView() {
  const { id = '' } = useParams()
  const { data: plan, error, refetch } = useQuery(planQuery(id))
  if (error && !plan)
    return (
      <>
        <PageTitle title="Plan" back={{ to: '/plan', label: 'Plan runs' }} />
        <ErrorAlert error={error} onRetry={() => void refetch()} />
      </>
    )
  if (!plan) return <Skeleton height={480} role="status" aria-label="Loading the plan" />
  return <ReadPlan key={plan.id} plan={plan} />
}

function ReadPlan({ plan }: { plan: Plan }) {
  const mayOperate = useMay('operator')
  const [refusal, setRefusal] = useState<Error>()
  const hasExpired = useNow((now) => (isExpired(plan, now) ? 1 : 0)) === 1
  const problematic = plan.items.filter((item) => !canStart(item)).length
  return (
    <>
      <PageTitle
        title={planTitle(plan)}
        back={{ to: planPath(draftOf(plan.request)), label: 'Change what is planned' }}
        subtitle={
          <>
            Made <RelativeTime at={plan.createdAt} /> by {plan.createdBy}, expires{' '}
            <RelativeTime at={plan.expiresAt} />. Runs are held to it: a disk that differs from what
            is said here is not written.
          </>
        }
      />
      <Stack>
        {hasExpired && <Expired plan={plan} />}
        {refusal && <Outdated plan={plan} error={refusal} />}
        {problematic > 0 && plan.items.length > 1 && (
          <Text>
            {countOf(problematic, 'machine')} of {plan.items.length} cannot be worked on, and{' '}
            {problematic === 1 ? 'is' : 'are'} left out; why is said first.
          </Text>
        )}
        {inReadingOrder(plan.items).map((item) => (
          <PlanItemCard
            key={item.mac}
            item={item}
            plan={plan}
            isOpen={plan.items.length <= MOST_OPEN || !canStart(item)}
          />
        ))}
        {mayOperate && !hasExpired && !refusal && (
          <StartPlan plan={plan} onOutdated={(error) => setRefusal(error)} />
        )}
      </Stack>
    </>
  )
}

function Expired({ plan }: { plan: Plan }) {
  return (
    <Alert color="yellow" icon={<IconClockX />} title="This plan has expired" role="alert">
      <Group justify="space-between" gap="sm">
        <Text size="sm" flex="1 1 16rem">
          Disks may have changed since it was made, so nothing can be started from it.
        </Text>
        <PlanAgainButton request={plan.request} />
      </Group>
    </Alert>
  )
}

function Outdated({ plan, error }: { plan: Plan; error: Error }) {
  const alert = useRef<HTMLDivElement>(null)
  // What was pressed is gone, and with many machines this is far above it.
  useEffect(() => alert.current?.focus(), [])
  return (
    <Alert
      ref={alert}
      tabIndex={-1}
      color="red"
      icon={<IconClockX />}
      title="Nothing was started"
      role="alert"
    >
      <Stack gap="sm" align="flex-start">
        <Text size="sm">{error.message}</Text>
        <Group gap="xs">
          <PlanAgainButton request={plan.request} />
          <Button component={Link} to={`/runs?plan=${plan.id}`} variant="default">
            Runs of this plan
          </Button>
        </Group>
      </Stack>
    </Alert>
  )
}
