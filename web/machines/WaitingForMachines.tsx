import {
  Alert,
  Card,
  Code,
  Group,
  Loader,
  SimpleGrid,
  Skeleton,
  Stack,
  Text,
  Title,
} from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { networkQuery } from '../api/network.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { Mac } from '../components/Mac.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { DhcpSnippets } from './DhcpSnippets.tsx'

/** The empty fleet: what this server does so that a machine appears, and what its operator can do. */
export function WaitingForMachines() {
  const { data: network, error, refetch } = useQuery(networkQuery)
  return (
    <Stack maw={960}>
      <div>
        <PageTitle
          title="Waiting for the first machine"
          aside={<Loader size="sm" type="dots" role="img" aria-label="Listening" />}
        />
        <Text c="dimmed">
          Switch a machine on with its network card first in the boot order. It appears here{' '}
          {network?.dhcp.mode === 'off'
            ? 'as soon as it asks this server for what to boot.'
            : 'within two seconds of its first DHCP packet.'}
        </Text>
      </div>
      {error && <ErrorAlert error={error} onRetry={() => void refetch()} />}
      {!network && !error && <Skeleton height={180} />}
      {network && <Facts network={network} />}
      {network && <OtherServers network={network} />}
      {network && <NoTftp network={network} />}
      {network && <Snippets network={network} />}
    </Stack>
  )
}

const MODES: Record<NetworkStatus['dhcp']['mode'], { title: string; text: string }> = {
  server: {
    title: 'Server',
    text: 'Gives machines their addresses and tells them what to boot. Nothing else is needed.',
  },
  proxy: {
    title: 'Proxy',
    text: 'Your own DHCP server gives the addresses; this one adds what to boot. On this network segment nothing else is needed.',
  },
  off: {
    title: 'Off',
    text: 'Another DHCP server has to send machines here, with the lines below.',
  },
}

function Facts({ network }: { network: NetworkStatus }) {
  const { dhcp, interfaces, tftp, bootFiles, url } = network
  const mode = MODES[dhcp.mode]
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Card withBorder>
        <Title order={2} size="h5" mb="xs">
          DHCP: {mode.title.toLowerCase()}
        </Title>
        <Text size="sm">{mode.text}</Text>
        {dhcp.range && (
          <Text size="sm" mt="xs">
            Addresses {dhcp.range.first} to {dhcp.range.last}
          </Text>
        )}
        <Text size="sm" mt="xs">
          TFTP: {tftp}
        </Text>
        <Text size="sm">Boot files: {bootFiles.join(', ') || 'none'}</Text>
      </Card>
      <Card withBorder>
        <Title order={2} size="h5" mb="xs">
          Interfaces
        </Title>
        <Stack gap="xs">
          {interfaces.map(({ name, mac, address, prefix }) => (
            <Group key={`${name} ${address}`} gap="xs">
              <Text size="sm" fw={600}>
                {name}
              </Text>
              <Text size="sm">
                {address}/{prefix}
              </Text>
              <Mac mac={mac} />
              {dhcp.mode !== 'off' && name === network.interface && (
                <Text size="sm" c="dimmed">
                  DHCP answers here
                </Text>
              )}
            </Group>
          ))}
        </Stack>
        <Text size="sm" mt="xs">
          Machines reach this server at {url}
        </Text>
      </Card>
    </SimpleGrid>
  )
}

function OtherServers({ network: { otherServers, dhcp } }: { network: NetworkStatus }) {
  if (otherServers.length === 0)
    return (
      <Text size="sm" c="dimmed">
        No other DHCP server was heard on this network.
      </Text>
    )
  const isTrouble = dhcp.mode === 'server'
  return (
    <Alert
      color={isTrouble ? 'red' : 'blue'}
      icon={isTrouble ? <IconAlertTriangle /> : undefined}
      title={isTrouble ? 'Another DHCP server answers too' : 'Your DHCP server was heard'}
    >
      {otherServers.map(({ address, lastHeardAt }) => (
        <Text size="sm" key={address}>
          {address}, last heard <RelativeTime at={lastHeardAt} />
        </Text>
      ))}
      {isTrouble && (
        <Text size="sm" mt={4}>
          Two servers that give addresses on one network get in each other's way: switch one off, or
          run this one with STAMPEDE_DHCP=proxy.
        </Text>
      )}
    </Alert>
  )
}

/** Firmware that another DHCP server sends here would find nobody. */
function NoTftp({ network: { dhcp, tftp, interfaces } }: { network: NetworkStatus }) {
  if (dhcp.mode !== 'off' || /\bport \d/.test(tftp)) return null
  const example = interfaces[0]?.name ?? 'eth0'
  return (
    <Alert color="orange" icon={<IconAlertTriangle />} title="This server does not answer TFTP">
      <Text size="sm">
        The loaders of most firmwares come by TFTP. Start the server with{' '}
        <Code>STAMPEDE_INTERFACE={example}</Code> to answer it there, or with{' '}
        <Code>STAMPEDE_DHCP=proxy</Code> to answer DHCP too.
      </Text>
    </Alert>
  )
}

function Snippets({ network }: { network: NetworkStatus }) {
  const own = network.interfaces.find(({ name }) => name === network.interface)
  const serverAddress = own?.address ?? new URL(network.url).hostname
  return (
    <DhcpSnippets
      serverAddress={serverAddress}
      url={network.url}
      bootFiles={network.bootFiles}
      isNeeded={network.dhcp.mode === 'off'}
    />
  )
}
