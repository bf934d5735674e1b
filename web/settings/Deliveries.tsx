import { Button, Skeleton, Table, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import type { WebhookDelivery } from '#protocol/webhook.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showError } from '../components/show.ts'
import { deliveriesKey, deliveriesQuery, retryDelivery } from './settings-queries.ts'

const COLORS = { pending: 'dimmed', delivered: undefined, failed: 'red' } as const

/** What was posted to a webhook of late, and what its receiver said. */
export function Deliveries({ webhook }: { webhook: string }) {
  const { data: deliveries, error, refetch } = useQuery(deliveriesQuery(webhook))
  if (error) return <ErrorAlert error={error} onRetry={() => void refetch()} />
  if (!deliveries) return <Skeleton height={60} role="status" aria-label="Loading the deliveries" />
  if (deliveries.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nothing was delivered yet.
      </Text>
    )
  return (
    <Table.ScrollContainer minWidth={600} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Event</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>When</Table.Th>
            <Table.Th>Attempts</Table.Th>
            <Table.Th>Answer</Table.Th>
            <Table.Th w={90}>Again</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {deliveries.map((delivery) => (
            <DeliveryRow key={delivery.id} webhook={webhook} delivery={delivery} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of deliveries' }

function DeliveryRow({ webhook, delivery }: { webhook: string; delivery: WebhookDelivery }) {
  const cache = useQueryClient()
  const retry = () =>
    void retryDelivery(webhook, delivery.id)
      .catch((error: unknown) => showError(error))
      .finally(() => cache.invalidateQueries({ queryKey: deliveriesKey(webhook) }))
  return (
    <Table.Tr>
      <Table.Td>{delivery.type}</Table.Td>
      <Table.Td>
        <Text size="sm" c={COLORS[delivery.state]} fw={600}>
          {delivery.state}
        </Text>
      </Table.Td>
      <Table.Td>
        <RelativeTime at={delivery.createdAt} />
      </Table.Td>
      <Table.Td>{delivery.attempts}</Table.Td>
      <Table.Td style={{ overflowWrap: 'anywhere' }}>
        {delivery.error ?? delivery.status ?? ''}
      </Table.Td>
      <Table.Td>
        {delivery.state !== 'pending' && (
          <Button size="compact-xs" variant="default" onClick={retry}>
            Send again
          </Button>
        )}
      </Table.Td>
    </Table.Tr>
  )
}
