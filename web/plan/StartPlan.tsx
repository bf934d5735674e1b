import { Alert, Anchor, Group, List, Paper, Stack, Text } from '@mantine/core'
import { IconPlayerPlay } from '@tabler/icons-react'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'
import type { Plan, PlannedRuns } from '#protocol/run/plan.ts'
import { RequestError } from '../api/request-error.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { startPlan } from '../runs/run-queries.ts'
import { startable } from './plan-items.ts'

interface StartPlanProps {
  plan: Plan
  /** What the plan says is no longer so, or it has been used. */
  onOutdated: (error: Error) => void
}

/** The last step: what destroys data wants the hostname, or how many machines, typed in. */
export function StartPlan({ plan, onOutdated }: StartPlanProps) {
  const [isAsking, setAsking] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [partly, setPartly] = useState<PlannedRuns>()
  const navigate = useNavigate()
  const ready = startable(plan)
  const losses = ready.flatMap((item) => item.losses).length

  async function start(confirmation?: string): Promise<void> {
    const body = { plan: plan.id, ...(confirmation !== undefined && { confirmation }) }
    try {
      const started = await startPlan(body)
      if ('id' in started) await navigate(`/runs/${started.id}`)
      else if (started.refused.length === leftOut(plan)) await navigate(fleetAddress(plan))
      else setPartly(started)
    } catch (thrown) {
      if (!isOutdated(thrown)) throw thrown
      onOutdated(thrown)
    }
  }

  async function startAtOnce(): Promise<void> {
    setBusy(true)
    setError(undefined)
    await start().catch(setError)
    setBusy(false)
  }

  if (partly) return <PartlyStarted plan={plan} started={partly} />
  if (ready.length === 0)
    return (
      <Alert color="yellow" title="Nothing can be started">
        Put right what is said above and plan again.
      </Alert>
    )
  const action = actionText(plan, ready.length)
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Group justify="space-between" gap="sm">
          <Text flex="1 1 18rem">{promiseText(plan, ready.length)}</Text>
          <BusyButton
            size="md"
            color={plan.destructive ? 'red' : undefined}
            leftSection={<IconPlayerPlay size={18} aria-hidden />}
            isBusy={isBusy}
            onClick={() => (plan.destructive ? setAsking(true) : void startAtOnce())}
          >
            {plan.destructive ? `${action} …` : action}
          </BusyButton>
        </Group>
        <ErrorAlert error={error} title="Nothing was started" />
      </Stack>
      <ConfirmTyped
        opened={isAsking}
        onClose={() => setAsking(false)}
        title={`${action}?`}
        confirmation={plan.confirmation}
        confirmationIs={plan.items.length === 1 ? 'the hostname' : 'the number of machines'}
        action={action}
        onConfirm={start}
      >
        {ready.length === 1 ? (
          <List size="sm">
            {ready[0]?.losses.map((loss) => (
              <List.Item key={loss}>{loss}</List.Item>
            ))}
            {losses === 0 && <List.Item>All that is on the disk is lost.</List.Item>}
          </List>
        ) : (
          <>All that is on the disks of {countOf(ready.length, 'machine')} is lost.</>
        )}
      </ConfirmTyped>
    </Paper>
  )
}

/** Runs that could be made were made; the others say why not. */
function PartlyStarted({ plan, started }: { plan: Plan; started: PlannedRuns }) {
  const names = new Map(plan.items.map(({ mac, name }) => [mac, name]))
  return (
    <Alert
      color="yellow"
      role="alert"
      title={`${countOf(started.items.length, 'run')} started, ${started.refused.length} refused`}
    >
      <Stack gap="xs" align="flex-start">
        <List size="sm">
          {started.refused.map(({ mac, error }) => (
            <List.Item key={mac}>
              <Text span fw={600} size="sm">
                {names.get(mac) ?? mac}:
              </Text>{' '}
              {error.message}
            </List.Item>
          ))}
        </List>
        {started.items.length > 0 && (
          <Anchor component={Link} to={fleetAddress(plan)}>
            To the runs that were started
          </Anchor>
        )}
      </Stack>
    </Alert>
  )
}

function leftOut(plan: Plan): number {
  return plan.items.length - startable(plan).length
}

function fleetAddress(plan: Plan): string {
  return `/runs/fleet?plan=${plan.id}`
}

/** Refusals that only a new plan can answer; all others are said where the person types. */
function isOutdated(error: unknown): error is RequestError {
  return error instanceof RequestError && error.code !== 'not-confirmed' && error.status === 409
}

function actionText({ workflow, items }: Plan, count: number): string {
  const word = {
    deploy: 'Deploy',
    capture: 'Capture',
    verify: 'Verify',
    wipe: 'Wipe',
    inventory: 'Start',
  }[workflow]
  return items.length === 1 ? word : `${word} ${countOf(count, 'machine')}`
}

function promiseText({ workflow, destructive }: Plan, count: number): string {
  const whom = count === 1 ? 'the machine' : `each of the ${count} machines`
  if (!destructive)
    return workflow === 'capture'
      ? `Starts when ${whom} boots from its network card. Nothing is written to its disks.`
      : `Starts when ${whom} boots from its network card.`
  return `Starts when ${whom} boots from its network card, and cannot be undone.`
}
