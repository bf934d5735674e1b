import { Group, Skeleton, Stack, Text, ThemeIcon } from '@mantine/core'
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import type { Check, CheckName, SystemStatus } from '#protocol/system-status.ts'
import { Bytes } from '../components/Bytes.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'
import { systemQuery } from './settings-queries.ts'

const NAMES: Record<CheckName, string> = {
  http: 'HTTP',
  dhcp: 'DHCP',
  tftp: 'TFTP',
  'boot-files': 'Boot files',
  'agent-files': 'Agent',
  store: 'Image store',
  database: 'Database',
  clock: 'Clock',
  'other-dhcp-servers': 'Other DHCP servers',
}

/** How the server is, and what to do where it is not well. */
export function Health() {
  const { data: system, error, refetch } = useQuery(systemQuery)
  if (error) return <ErrorAlert error={error} onRetry={() => void refetch()} />
  if (!system) return <Skeleton height={320} role="status" aria-label="Loading the health" />
  return (
    <Stack>
      <Section title={titleOf(system.checks)}>
        <Stack gap="sm" component="ul" m={0} p={0} style={{ listStyle: 'none' }}>
          {system.checks.map((check) => (
            <CheckRow key={check.name} check={check} />
          ))}
        </Stack>
      </Section>
      <Version system={system} />
    </Stack>
  )
}

function titleOf(checks: readonly Check[]): string {
  const bad = checks.filter(({ ok }) => !ok).length
  if (bad === 0) return 'All is well'
  return bad === 1 ? 'One thing needs attention' : `${bad} things need attention`
}

function CheckRow({ check: { name, ok, message } }: { check: Check }) {
  const Icon = ok ? IconCheck : IconAlertTriangle
  return (
    <Group component="li" wrap="nowrap" align="flex-start" gap="sm">
      <ThemeIcon size={22} radius="xl" color={ok ? 'green' : 'red'}>
        <Icon size={14} aria-label={ok ? 'well' : 'not well'} />
      </ThemeIcon>
      <div>
        <Text size="sm" fw={600}>
          {NAMES[name]}
        </Text>
        <Text size="sm" c={ok ? 'dimmed' : undefined} style={{ overflowWrap: 'anywhere' }}>
          {message}
        </Text>
      </div>
    </Group>
  )
}

function Version({
  system: { version, node, startedAt, database, store },
}: {
  system: SystemStatus
}) {
  return (
    <Section title="This server">
      <FactList
        facts={[
          ['Version', `Stampede ${version} on Node.js ${node}`],
          ['Running since', <RelativeTime key="started" at={startedAt} />],
          ['Database', database.kind === 'embedded' ? 'embedded (PGlite)' : 'PostgreSQL'],
          [
            'Database size',
            database.bytes === undefined ? undefined : <Bytes key="db" value={database.bytes} />,
          ],
          ['Image store', store.location],
          ['Stored', <Bytes key="stored" value={store.storedBytes} />],
          [
            'Free',
            store.freeBytes === null ? undefined : <Bytes key="free" value={store.freeBytes} />,
          ],
          ['Saved by sharing', <Bytes key="saved" value={store.savedBytes} />],
        ]}
      />
    </Section>
  )
}
