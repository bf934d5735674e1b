import { Button, Group, Skeleton, Text } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { machineRunsQuery } from '../runs/run-queries.ts'
import { RunsTable } from '../runs/RunsTable.tsx'
import { Section } from './Section.tsx'

/** Its runs so far, newest first, a few at a time. */
export function MachineRuns({ mac }: { mac: string }) {
  /** Where the pages before this one began. */
  const [cursors, setCursors] = useState<string[]>([])
  const { data, error, refetch } = useQuery({
    ...machineRunsQuery(mac, cursors.at(-1)),
    placeholderData: keepPreviousData,
  })
  const next = data?.next ?? null
  return (
    <Section title="Runs">
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!data && !error && <Skeleton height={120} role="status" aria-label="Loading the runs" />}
      {data?.items.length === 0 && (
        <Text size="sm" c="dimmed">
          None yet.
        </Text>
      )}
      {data && data.items.length > 0 && <RunsTable runs={data.items} />}
      {(cursors.length > 0 || next !== null) && (
        <Group justify="space-between" mt="sm">
          <Button
            size="xs"
            variant="default"
            disabled={cursors.length === 0}
            onClick={() => setCursors(cursors.slice(0, -1))}
          >
            Newer
          </Button>
          <Button
            size="xs"
            variant="default"
            disabled={next === null}
            onClick={() => next !== null && setCursors([...cursors, next])}
          >
            Older
          </Button>
        </Group>
      )}
    </Section>
  )
}
