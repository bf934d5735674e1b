import { Paper, SimpleGrid, Skeleton, Stack } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { DhcpSnippets } from '../machines/DhcpSnippets.tsx'
import { Leases } from './Leases.tsx'
import { networkQuery } from './network-queries.ts'
import { OtherServers } from './OtherServers.tsx'
import { PoolUse } from './PoolUse.tsx'
import { Reservations } from './Reservations.tsx'
import { ThisServer } from './ThisServer.tsx'

/** How machines meet this server: DHCP, addresses, and who else answers. */
export function NetworkPage() {
  const { data: network, error, refetch } = useQuery(networkQuery)
  return (
    <>
      <PageTitle title="Network" subtitle="How machines get an address and find this server" />
      <Stack>
        <ErrorAlert error={error} onRetry={() => void refetch()} />
        {!network && !error && (
          <Skeleton height={180} role="status" aria-label="Loading the network" />
        )}
        {network && (
          <SimpleGrid cols={{ base: 1, md: 2 }}>
            <ThisServer network={network} />
            <Stack>
              <PoolUse network={network} />
              <OtherServers network={network} />
            </Stack>
          </SimpleGrid>
        )}
        <Leases isServer={network?.dhcp.mode === 'server'} />
        {network && network.dhcp.mode !== 'server' && (
          <Paper withBorder p="md">
            <DhcpSnippets
              serverAddress={addressOf(network)}
              url={network.url}
              bootFiles={network.bootFiles}
              isNeeded={network.dhcp.mode === 'off'}
            />
          </Paper>
        )}
        <Reservations isServer={network?.dhcp.mode === 'server'} />
      </Stack>
    </>
  )
}

function addressOf({ interfaces, interface: own, url }: NetworkStatus): string {
  return interfaces.find(({ name }) => name === own)?.address ?? new URL(url).hostname
}
