import { Group, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { machineLeasesQuery } from './machine-queries.ts'
import { Section } from './Section.tsx'

const STATES = {
  offered: 'offered',
  bound: 'in use',
  released: 'given back',
  declined: 'declined: something else uses it',
} as const

/** Addresses that our DHCP gave it. */
export function MachineLeases({ mac }: { mac: string }) {
  const { data, error, refetch } = useQuery(machineLeasesQuery(mac))
  return (
    <Section title="Leases">
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!data && !error && <Skeleton height={24} />}
      {data?.length === 0 && (
        <Text size="sm" c="dimmed">
          None from this server.
        </Text>
      )}
      <Stack gap={6}>
        {data?.map((lease) => (
          <Group key={lease.address} justify="space-between" gap="xs">
            <Text size="sm" ff="monospace">
              {lease.address}
            </Text>
            <Text size="sm" c="dimmed">
              {STATES[lease.state]}, ends <RelativeTime at={lease.expiresAt} />
            </Text>
          </Group>
        ))}
      </Stack>
    </Section>
  )
}
