import { Button, Group, Select, Skeleton, TextInput } from '@mantine/core'
import { IconLayoutGrid, IconPlayerPlay } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useSearchParams } from 'react-router'
import { EmptyState } from '../components/EmptyState.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { stateText } from '../components/StateBadge.tsx'
import { runsQuery } from './run-queries.ts'
import { WORKFLOW_WORDS } from './run-words.ts'
import { parseRunsFilter, RUN_STATES, RUN_WORKFLOWS } from './runs-filter.ts'
import { RunsTable } from './RunsTable.tsx'

const STATE_CHOICES = [
  { value: 'active', label: 'All that go on' },
  ...RUN_STATES.map((value) => ({ value, label: stateText(value) })),
]
const WORKFLOW_CHOICES = RUN_WORKFLOWS.map((value) => ({ value, label: WORKFLOW_WORDS[value] }))

/** All runs, newest first. What is shown is in the address, so that it can be sent to somebody. */
export function RunsPage() {
  const [query, setQuery] = useSearchParams()
  const filter = parseRunsFilter(query)
  const after = query.get('after') ?? undefined
  const { data, error, refetch } = useQuery({
    ...runsQuery(filter, after),
    placeholderData: keepPreviousData,
  })
  const isFiltered = Object.keys(filter).length > 0

  function change(changes: Record<string, string | null>): void {
    const next = new URLSearchParams(query)
    next.delete('after')
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value)
      else next.delete(name)
    }
    setQuery(next, { replace: true })
  }

  function changeState(value: string | null): void {
    if (value === 'active') change({ active: 'true', state: null })
    else change({ active: null, state: value })
  }

  return (
    <>
      <PageTitle
        title="Runs"
        actions={
          <Button
            component={Link}
            to="/runs/fleet"
            variant="default"
            leftSection={<IconLayoutGrid size={16} aria-hidden />}
          >
            All at work
          </Button>
        }
      />
      <Group mb="md" gap="sm" align="flex-end">
        <Select
          label="State"
          placeholder="Any"
          data={STATE_CHOICES}
          value={filter.active ? 'active' : (filter.state ?? null)}
          onChange={changeState}
          clearable
          w={{ base: '100%', xs: 170 }}
        />
        <Select
          label="Workflow"
          placeholder="Any"
          data={WORKFLOW_CHOICES}
          value={filter.workflow ?? null}
          onChange={(workflow) => change({ workflow })}
          clearable
          w={{ base: '100%', xs: 150 }}
        />
        <FilterText name="mac" label="MAC" value={filter.mac} onChange={change} />
        <FilterText name="image" label="Image" value={filter.image} onChange={change} />
        {isFiltered && (
          <Button variant="subtle" onClick={() => setQuery({}, { replace: true })}>
            Clear
          </Button>
        )}
      </Group>
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!data && !error && <Skeleton height={400} role="status" aria-label="Loading the runs" />}
      {data && data.items.length > 0 && <RunsTable runs={data.items} withMachine />}
      {data?.items.length === 0 && <NoRuns isFiltered={isFiltered || after !== undefined} />}
      <Pages
        after={after}
        next={data?.next ?? null}
        search={(cursor) => {
          const turned = new URLSearchParams(query)
          if (cursor === undefined) turned.delete('after')
          else turned.set('after', cursor)
          return `?${turned.toString()}`
        }}
      />
    </>
  )
}

interface FilterTextProps {
  name: string
  label: string
  value: string | undefined
  onChange: (changes: Record<string, string | null>) => void
}

/** Applied with Enter or when it is left: half a MAC is no filter. */
function FilterText({ name, label, value = '', onChange }: FilterTextProps) {
  const apply = (text: string) => {
    if (text.trim() !== value) onChange({ [name]: text.trim() || null })
  }
  return (
    <TextInput
      key={value}
      label={label}
      placeholder="Any"
      defaultValue={value}
      onBlur={(event) => apply(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') apply(event.currentTarget.value)
      }}
      w={{ base: '100%', xs: 170 }}
    />
  )
}

function NoRuns({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered)
    return (
      <EmptyState icon={IconPlayerPlay} title="No run is like that">
        Clear a filter to see more.
      </EmptyState>
    )
  return (
    <EmptyState
      icon={IconPlayerPlay}
      title="No run yet"
      action={
        <Button component={Link} to="/machines">
          Choose a machine
        </Button>
      }
    >
      A run is one workflow on one machine: deploy an image, capture a disk, wipe it, take its
      inventory.
    </EmptyState>
  )
}

interface PagesProps {
  after: string | undefined
  next: string | null
  search: (cursor: string | undefined) => string
}

function Pages({ after, next, search }: PagesProps) {
  if (after === undefined && next === null) return null
  return (
    <Group component="nav" aria-label="Pages" justify="space-between" mt="md">
      <Button
        component={Link}
        to={search(undefined)}
        variant="default"
        data-disabled={after === undefined || undefined}
        aria-disabled={after === undefined}
      >
        Newest
      </Button>
      {next !== null && (
        <Button component={Link} to={search(next)} variant="default">
          Older
        </Button>
      )}
    </Group>
  )
}
