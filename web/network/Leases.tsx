import { Anchor, Skeleton, Table, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { machinesQuery } from '../api/machines.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { Mac } from '../components/Mac.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { Section } from '../machine/Section.tsx'
import { leasesQuery } from './network-queries.ts'

const STATES = {
  offered: 'offered',
  bound: 'in use',
  released: 'given back',
  declined: 'set aside: something else uses it',
} as const

export function Leases({ isServer }: { isServer: boolean }) {
  const { data: leases, error, refetch } = useQuery(leasesQuery)
  const { data: machines = [] } = useQuery(machinesQuery)
  const byMac = new Map(machines.flatMap((machine) => machine.macs.map((mac) => [mac, machine])))
  return (
    <Section title={leases ? `Leases (${leases.length})` : 'Leases'}>
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!leases && !error && <Skeleton height={80} role="status" aria-label="Loading the leases" />}
      {leases?.length === 0 && (
        <Text size="sm" c="dimmed">
          {isServer
            ? 'No machine has an address of this server yet.'
            : 'This server gives out no addresses in this mode.'}
        </Text>
      )}
      {leases && leases.length > 0 && (
        <Table.ScrollContainer
          minWidth={560}
          maxHeight={460}
          scrollAreaProps={{ viewportProps: REACHABLE }}
        >
          <Table stickyHeader>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Address</Table.Th>
                <Table.Th>Machine</Table.Th>
                <Table.Th>MAC</Table.Th>
                <Table.Th>State</Table.Th>
                <Table.Th>Ends</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {leases.map((lease) => (
                <Table.Tr key={lease.address}>
                  <Table.Td ff="monospace">{lease.address}</Table.Td>
                  <Table.Td>
                    <MachineName machine={byMac.get(lease.mac)} hostname={lease.hostname} />
                  </Table.Td>
                  <Table.Td>
                    <Mac mac={lease.mac} />
                  </Table.Td>
                  <Table.Td>{STATES[lease.state]}</Table.Td>
                  <Table.Td>
                    <RelativeTime at={lease.expiresAt} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Section>
  )
}

/** What scrolls must be reachable by keyboard, too. */
const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of leases' }

interface MachineNameProps {
  machine: Machine | undefined
  /** What the client called itself. */
  hostname: string | undefined
}

function MachineName({ machine, hostname }: MachineNameProps) {
  if (!machine) return <Text size="sm">{hostname ?? 'not a machine of ours'}</Text>
  return (
    <Anchor component={Link} to={`/machines/${machine.mac}`} size="sm">
      {machine.name}
    </Anchor>
  )
}
