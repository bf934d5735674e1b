import { ColorSwatch, Group, Progress, Stack, Text } from '@mantine/core'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { Section } from '../machine/Section.tsx'

/** Above this, an operator should think of a larger range. */
const NEARLY_FULL = 0.9

/** How many addresses of the range are left; each part has its word and its number beside its colour. */
export function PoolUse({ network: { dhcp } }: { network: NetworkStatus }) {
  const { pool, range } = dhcp
  if (!pool || !range) return null
  const parts = [
    { name: 'leased', count: pool.leased, color: 'indigo.7' },
    { name: 'reserved', count: pool.reserved, color: 'teal.7' },
    { name: 'set aside', count: pool.declined, color: 'orange.8' },
    { name: 'free', count: pool.free, color: 'gray.5' },
  ]
  const isNearlyFull = pool.free < pool.size * (1 - NEARLY_FULL)
  return (
    <Section title="Addresses">
      <Stack gap="xs">
        <Text size="sm">
          {pool.free} of {pool.size} free, {range.first} to {range.last}
        </Text>
        <Progress.Root size={22} aria-hidden>
          {parts.map(({ name, count, color }) => (
            <Progress.Section key={name} value={(100 * count) / pool.size} color={color} />
          ))}
        </Progress.Root>
        <Group gap="md">
          {parts.map(({ name, count, color }) => (
            <Group key={name} gap={6}>
              <ColorSwatch size={14} radius="xs" color={cssColor(color)} aria-hidden />
              <Text size="sm" className="tabular">
                {count} {name}
              </Text>
            </Group>
          ))}
        </Group>
        {isNearlyFull && (
          <Text size="sm" c="orange" fw={600}>
            Nearly full: enlarge STAMPEDE_DHCP_RANGE, or shorten STAMPEDE_DHCP_LEASE_SECONDS
          </Text>
        )}
      </Stack>
    </Section>
  )
}

function cssColor(color: string): string {
  return `var(--mantine-color-${color.replace('.', '-')})`
}
