import { Code, Group, Stack, Text } from '@mantine/core'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { CopyButton } from '../components/CopyButton.tsx'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'

const MODES = {
  server: 'server: this server gives out addresses',
  proxy: 'proxy: boot information only, beside another DHCP server',
  off: 'off: another DHCP server must name this one',
} as const

const UNKNOWN = {
  inventory: 'are inventoried, then start from their disk',
  local: 'start from their disk',
  ignore: 'get no answer',
} as const

export function ThisServer({ network }: { network: NetworkStatus }) {
  const { url, dhcp, tftp, bootFiles, interfaces } = network
  return (
    <Section title="This server">
      <FactList
        facts={[
          [
            'Address',
            <Group key="url" gap={4}>
              <Code>{url}</Code>
              <CopyButton text={url} what="the address" />
            </Group>,
          ],
          ['Interface', network.interface ?? 'none: DHCP and TFTP are off'],
          ['DHCP', MODES[dhcp.mode]],
          ...(dhcp.range
            ? [['Range', `${dhcp.range.first} to ${dhcp.range.last}`] as [string, string]]
            : []),
          ...(dhcp.router ? [['Router', dhcp.router] as [string, string]] : []),
          ...(dhcp.dns.length > 0 ? [['DNS', dhcp.dns.join(', ')] as [string, string]] : []),
          ['TFTP', tftp],
          ['Boot files', bootFiles.length > 0 ? bootFiles.join(', ') : 'none'],
          ['Unknown machines', UNKNOWN[network.unknown]],
        ]}
      />
      <Stack gap={2} mt="sm">
        <Text size="sm" fw={600}>
          Networks of this host
        </Text>
        {interfaces.map(({ name, address, prefix, mac }) => (
          <Text key={`${name} ${address}`} size="sm">
            {name}: <Code>{`${address}/${prefix}`}</Code> {mac}
          </Text>
        ))}
      </Stack>
    </Section>
  )
}
