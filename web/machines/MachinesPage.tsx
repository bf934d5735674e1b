import { Button, Skeleton, Stack, Text } from '@mantine/core'
import { IconSearchOff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useMemo } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { machinesQuery } from '../api/machines.ts'
import { useMay } from '../api/session.ts'
import { EmptyState } from '../components/EmptyState.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { PageTitle } from '../components/PageTitle.tsx'
import { useIsNarrow } from '../components/use-is-narrow.ts'
import { BulkBar } from './BulkBar.tsx'
import { MachineCards } from './MachineCards.tsx'
import classes from './machines.module.css'
import { visibleMachines, type MachinesView } from './machines-view.ts'
import { MachinesTable } from './MachinesTable.tsx'
import { MachinesToolbar } from './MachinesToolbar.tsx'
import { useMachinesView } from './use-machines-view.ts'
import { useSelection } from './use-selection.ts'
import { WaitingForMachines } from './WaitingForMachines.tsx'

const SKELETONS = 10

export function MachinesPage() {
  const { data: machines, error, refetch } = useQuery(machinesQuery)
  const [view, change] = useMachinesView()
  if (machines?.length === 0) return <WaitingForMachines />
  return (
    <div className={classes.page}>
      <PageTitle title="Machines" aside={machines && <Count machines={machines} view={view} />} />
      {!machines && error && <ErrorAlert error={error} onRetry={() => void refetch()} />}
      {!machines && !error && <Loading />}
      {machines && (
        <>
          <MachinesToolbar machines={machines} view={view} onChange={change} />
          <Fleet machines={machines} view={view} onChange={change} />
        </>
      )}
    </div>
  )
}

interface FleetProps {
  machines: Machine[]
  view: MachinesView
  onChange: (changes: Partial<MachinesView>) => void
}

function Fleet({ machines, view, onChange }: FleetProps) {
  // Typing stays quick: the table follows when there is time.
  const deferredView = useDeferredValue(view)
  const shown = useMemo(() => visibleMachines(machines, deferredView), [machines, deferredView])
  const selection = useSelection(machines, shown)
  const isSelectable = useMay('operator')
  const isNarrow = useIsNarrow()
  const selected = useMemo(
    () => machines.filter(({ mac }) => selection.macs.has(mac)),
    [machines, selection.macs],
  )
  const selectedShown = shown.filter(({ mac }) => selection.macs.has(mac)).length
  return (
    <>
      {shown.length === 0 ? (
        <div className={classes.frame}>
          <NoMatch
            onShowAll={() => onChange({ q: '', states: [], image: '', tag: '', locked: undefined })}
          />
        </div>
      ) : isNarrow ? (
        <MachineCards machines={shown} selection={selection} isSelectable={isSelectable} />
      ) : (
        <MachinesTable
          machines={shown}
          selection={selection}
          isSelectable={isSelectable}
          view={view}
          onSort={onChange}
        />
      )}
      {selected.length > 0 && (
        <BulkBar
          machines={selected}
          hidden={selected.length - selectedShown}
          onClear={selection.clear}
        />
      )}
    </>
  )
}

function NoMatch({ onShowAll }: { onShowAll: () => void }) {
  return (
    <EmptyState
      icon={IconSearchOff}
      title="No machine matches"
      action={
        <Button variant="default" onClick={onShowAll}>
          Show all
        </Button>
      }
    >
      Search by name, MAC in any spelling, serial, model, image or tag. All words must match.
    </EmptyState>
  )
}

function Count({ machines, view }: { machines: Machine[]; view: MachinesView }) {
  const shown = useMemo(() => visibleMachines(machines, view).length, [machines, view])
  return (
    <Text c="dimmed" size="sm" className="tabular" role="status">
      {shown === machines.length
        ? countOf(shown, 'machine')
        : `${shown.toLocaleString('en')} of ${countOf(machines.length, 'machine')}`}
    </Text>
  )
}

/** As high as what comes, so that nothing jumps. */
function Loading() {
  return (
    <Stack gap="sm" role="status" aria-busy aria-label="Loading the machines">
      <Skeleton height={36} />
      {Array.from({ length: SKELETONS }, (_, index) => (
        <Skeleton key={index} height={48} />
      ))}
    </Stack>
  )
}
