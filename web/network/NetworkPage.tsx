import { SimpleGrid, Skeleton, Stack } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
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
        {!network && !error && <Skeleton height={180} aria-label="Loading the network" />}
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
        <Reservations isServer={network?.dhcp.mode === 'server'} />
      </Stack>
    </>
  )
}
