import { Alert, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { Section } from '../machine/Section.tsx'

/** Beside mode `server` another one is a fault; beside the others it is what gives out addresses. */
export function OtherServers({ network: { dhcp, otherServers } }: { network: NetworkStatus }) {
  const isConflict = dhcp.mode === 'server' && otherServers.length > 0
  return (
    <Section title="Other DHCP servers">
      <Stack gap="xs">
        {isConflict && (
          <Alert color="red" variant="light" icon={<IconAlertTriangle />} title="Two servers">
            Both give out addresses, and machines may boot from either. Stop the other one, or set
            STAMPEDE_DHCP=proxy.
          </Alert>
        )}
        {otherServers.map(({ address, firstHeardAt, lastHeardAt }) => (
          <Text key={address} size="sm">
            <b>{address}</b>, first heard <RelativeTime at={firstHeardAt} />, last{' '}
            <RelativeTime at={lastHeardAt} />
          </Text>
        ))}
        {otherServers.length === 0 && (
          <Text size="sm" c="dimmed">
            {dhcp.mode === 'proxy'
              ? 'None was heard. In mode proxy another one must give out the addresses; without it no machine boots.'
              : 'None was heard.'}
          </Text>
        )}
      </Stack>
    </Section>
  )
}
