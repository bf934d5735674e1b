import { Anchor, Box, Group, Table, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Run } from '#protocol/run/run.ts'
import { Mac } from '../components/Mac.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { RunProgress } from '../components/RunProgress.tsx'
import { StateBadge } from '../components/StateBadge.tsx'
import { currentStep, isActive, runTitle } from './run-words.ts'
import { Elapsed } from './RunTimes.tsx'
import { useIsSilent } from './use-is-silent.ts'
import { useNames } from './use-names.ts'

/** Runs as rows; narrow screens leave out what the page of a run says anyway. */
export function RunsTable({ runs, withMachine }: { runs: readonly Run[]; withMachine?: boolean }) {
  const names = useNames()
  return (
    <Table verticalSpacing="xs" layout="fixed" highlightOnHover>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Run</Table.Th>
          {withMachine && <Table.Th visibleFrom="sm">Machine</Table.Th>}
          <Table.Th w={withMachine ? { base: 130, sm: 280, lg: 420 } : { base: 130, sm: 230 }}>
            State
          </Table.Th>
          <Table.Th visibleFrom="md" w={120}>
            Asked for
          </Table.Th>
          {withMachine && (
            <Table.Th visibleFrom="lg" w={120}>
              Took
            </Table.Th>
          )}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {runs.map((run) => (
          <Table.Tr key={run.id}>
            <Table.Td>
              <Anchor component={Link} to={`/runs/${run.id}`} size="sm" fw={600}>
                {runTitle(run)}
              </Anchor>
              <Text size="xs" hiddenFrom="md">
                {withMachine && (
                  <Text span inherit hiddenFrom="sm">
                    {names.get(run.mac) ?? run.mac} ·{' '}
                  </Text>
                )}
                <Text span inherit c="dimmed">
                  <RelativeTime at={run.createdAt} />
                </Text>
              </Text>
            </Table.Td>
            {withMachine && (
              <Table.Td visibleFrom="sm">
                <Anchor component={Link} to={`/machines/${run.mac}`} size="sm">
                  {names.get(run.mac) ?? run.mac}
                </Anchor>
                <Text size="xs" c="dimmed">
                  <Mac mac={run.mac} />
                </Text>
              </Table.Td>
            )}
            <Table.Td>
              <RunState run={run} />
            </Table.Td>
            <Table.Td visibleFrom="md">
              <RelativeTime at={run.createdAt} />
            </Table.Td>
            {withMachine && (
              <Table.Td visibleFrom="lg">
                {isActive(run) || run.startedAt ? <Elapsed run={run} /> : '–'}
              </Table.Td>
            )}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

/** The badge, and beside it how far it is or why it failed. */
function RunState({ run }: { run: Run }) {
  const step = currentStep(run)
  const isSilent = useIsSilent(run)
  const isAtWork = run.state === 'running' && step?.state === 'running'
  return (
    <Group gap="xs" wrap="nowrap">
      <StateBadge state={run.state} />
      {isAtWork && (
        <Box flex={1} miw={0} visibleFrom="sm">
          <RunProgress {...step} step={step.name} isSilent={isSilent} compact />
        </Box>
      )}
      {run.error !== null && run.state !== 'cancelled' && (
        <Text size="xs" c="dimmed" truncate title={run.error} visibleFrom="sm">
          {run.error}
        </Text>
      )}
    </Group>
  )
}
