import { Button, Skeleton } from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconBan, IconLayoutGrid, IconRefresh } from '@tabler/icons-react'
import { useQueries, useQuery } from '@tanstack/react-query'
import { Link, useSearchParams } from 'react-router'
import type { Run } from '#protocol/run/run.ts'
import { useMay } from '../api/session.ts'
import { EmptyState } from '../components/EmptyState.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { PageTitle } from '../components/PageTitle.tsx'
import { showDone, showError } from '../components/show.ts'
import { cancelRuns } from './cancel-runs.ts'
import { byUrgency, fleetTotals } from './fleet-totals.ts'
import { FleetTile } from './FleetTile.tsx'
import { FleetTotalsRow } from './FleetTotalsRow.tsx'
import { retryAddress } from './retry.ts'
import { activeRunsQuery, planRunsQuery, runQuery } from './run-queries.ts'
import { isActive, isFailure, runTitle } from './run-words.ts'
import { useSilent } from './use-is-silent.ts'
import { useNames } from './use-names.ts'
import classes from './runs.module.css'

/** Many runs at once: those of a plan, those that are named, else all that go on. */
export function FleetPage() {
  const [query] = useSearchParams()
  const plan = query.get('plan')
  const ids = query.get('ids')?.split(',').filter(Boolean)
  const { runs, error, refetch } = useFleet(plan, ids)
  const names = useNames()
  const silent = useSilent(runs ?? [])
  const title = fleetTitle(runs, plan !== null)
  return (
    <>
      <PageTitle
        title={title}
        back={{ to: '/runs', label: 'Runs' }}
        actions={runs && runs.length > 0 && <FleetActions runs={runs} />}
      />
      <ErrorAlert error={error} onRetry={refetch} />
      {!runs && !error && <Skeleton height={420} role="status" aria-label="Loading the runs" />}
      {runs?.length === 0 && <NothingAtWork />}
      {runs && runs.length > 0 && (
        <>
          <FleetTotalsRow totals={fleetTotals(runs, silent)} count={runs.length} />
          <ul className={classes.tiles} aria-label="Machines, failed and slowest first">
            {runs.toSorted(byUrgency).map((run) => (
              <li key={run.id}>
                <FleetTile
                  run={run}
                  name={names.get(run.mac) ?? run.mac}
                  isSilent={silent.has(run.id)}
                />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  )
}

function useFleet(plan: string | null, ids: string[] | undefined) {
  const list = useQuery({
    ...(plan === null ? activeRunsQuery() : planRunsQuery(plan)),
    enabled: ids === undefined,
  })
  const single = useQueries({ queries: (ids ?? []).map((id) => runQuery(id)) })
  if (ids === undefined) {
    return {
      runs: list.data?.items,
      error: list.error,
      refetch: () => void list.refetch(),
    }
  }
  const runs = single.flatMap(({ data }) => (data ? [data as Run] : []))
  const isLoading = single.some(({ isPending }) => isPending)
  return {
    runs: isLoading ? undefined : runs,
    error: single.find(({ error }) => error)?.error ?? null,
    refetch: () => single.forEach((query) => void query.refetch()),
  }
}

function fleetTitle(runs: readonly Run[] | undefined, isPlan: boolean): string {
  const [first] = runs ?? []
  if (!runs || !first || !isPlan) return 'All at work'
  const isSame = runs.every(
    ({ image, workflow }) => image === first.image && workflow === first.workflow,
  )
  return isSame
    ? `${runTitle(first)}, ${countOf(runs.length, 'machine')}`
    : `Plan of ${countOf(runs.length, 'machine')}`
}

function FleetActions({ runs }: { runs: readonly Run[] }) {
  const mayOperate = useMay('operator')
  const active = runs.filter((run) => isActive(run) && !run.cancelRequested)
  const failed = runs.filter((run) => isFailure(run))
  const retry = retryAddress(failed)
  if (!mayOperate) return null

  function askCancel(): void {
    modals.openConfirmModal({
      title: `Cancel ${countOf(active.length, 'run')}?`,
      children: cancelAllText(active),
      labels: { confirm: `Cancel ${countOf(active.length, 'run')}`, cancel: 'Let them go on' },
      confirmProps: { color: 'red' },
      onConfirm: () => {
        void cancelRuns(active.map(({ id }) => id)).then(({ refused }) => {
          if (refused.length === 0) showDone(`${countOf(active.length, 'run')} will stop`)
          else showError(refused[0], `${countOf(refused.length, 'run')} could not be cancelled`)
        })
      },
    })
  }

  return (
    <>
      {active.length > 0 && (
        <Button
          variant="default"
          leftSection={<IconBan size={16} aria-hidden />}
          onClick={askCancel}
        >
          Cancel all
        </Button>
      )}
      {retry !== undefined && (
        <Button component={Link} to={retry} leftSection={<IconRefresh size={16} aria-hidden />}>
          Retry {failed.length} failed
        </Button>
      )}
    </>
  )
}

function cancelAllText(runs: readonly Run[]): string {
  const isWritten = runs.some(({ workflow }) => workflow === 'deploy' || workflow === 'wipe')
  return isWritten
    ? 'Each stops at the next report of its agent. Disks that are half written do not boot: they need another deploy.'
    : 'Each stops at the next report of its agent. Nothing was written to the disks.'
}

function NothingAtWork() {
  return (
    <EmptyState
      icon={IconLayoutGrid}
      title="Nothing is at work"
      action={
        <Button component={Link} to="/machines">
          Choose machines
        </Button>
      }
    >
      Runs that wait, boot or work are shown here, a tile each.
    </EmptyState>
  )
}
