import {
  Badge,
  Button,
  Group,
  MultiSelect,
  Paper,
  Skeleton,
  Stack,
  Text,
  TextInput,
} from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconPlus } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Webhook, WebhookEvent } from '#protocol/webhook.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { showDone, showError } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import { Deliveries } from './Deliveries.tsx'
import { SecretOnce } from './SecretOnce.tsx'
import {
  createWebhook,
  deleteWebhook,
  deliveriesKey,
  enableWebhook,
  testWebhook,
  webhooksKey,
  webhooksQuery,
} from './settings-queries.ts'

const EVENTS: WebhookEvent[] = ['machine', 'run', 'image', 'lease', 'notice']

/** What happens here, posted to other programs. */
export function Webhooks() {
  const { data: webhooks, error, refetch } = useQuery(webhooksQuery)
  const [isCreating, setCreating] = useState(false)
  const [secret, setSecret] = useState<string>()
  return (
    <Section
      title="Webhooks"
      actions={
        <Button
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => setCreating(true)}
        >
          Add a webhook
        </Button>
      }
    >
      <Stack>
        <ErrorAlert error={error} onRetry={() => void refetch()} />
        {!webhooks && !error && (
          <Skeleton height={80} role="status" aria-label="Loading the webhooks" />
        )}
        {webhooks?.length === 0 && (
          <Text size="sm" c="dimmed">
            None. A webhook posts events to another program, signed, and tries for a day if it is
            away.
          </Text>
        )}
        {webhooks?.map((webhook) => (
          <WebhookCard key={webhook.id} webhook={webhook} />
        ))}
      </Stack>
      {isCreating && <NewWebhook onClose={() => setCreating(false)} onCreated={setSecret} />}
      {secret !== undefined && (
        <SecretOnce
          title="The key that signs"
          secret={secret}
          hint="The receiver checks the header “webhook-signature” with it, as Standard Webhooks describes."
          onClose={() => setSecret(undefined)}
        />
      )}
    </Section>
  )
}

function WebhookCard({ webhook }: { webhook: Webhook }) {
  const { id, url, events, enabled, disabledReason } = webhook
  const cache = useQueryClient()
  const [isOpen, setOpen] = useState(false)
  const after = (change: Promise<void>, done?: string) =>
    void change
      .then(() => done && showDone(done))
      .catch((error: unknown) => showError(error))
      .finally(() =>
        Promise.all(
          [webhooksKey, deliveriesKey(id)].map((queryKey) => cache.invalidateQueries({ queryKey })),
        ),
      )
  const confirmDelete = () =>
    modals.openConfirmModal({
      title: 'Delete the webhook',
      children: `${url} gets nothing any more, and its deliveries are forgotten.`,
      labels: { confirm: 'Delete', cancel: 'Cancel' },
      confirmProps: { color: 'red' },
      onConfirm: () => after(deleteWebhook(id)),
    })
  return (
    <Paper withBorder p="sm">
      <Stack gap="xs">
        <Group gap="xs">
          <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
            {url}
          </Text>
          {!enabled && <Badge color="gray">disabled</Badge>}
        </Group>
        <Text size="sm" c="dimmed">
          {events.length === 0 ? 'All events' : `Events: ${events.join(', ')}`}
        </Text>
        {disabledReason !== undefined && (
          <Text size="sm" c="red">
            {disabledReason}
          </Text>
        )}
        <Group gap="xs">
          <Button
            size="xs"
            variant="default"
            aria-expanded={isOpen}
            onClick={() => setOpen(!isOpen)}
          >
            Deliveries
          </Button>
          <Button
            size="xs"
            variant="default"
            onClick={() => after(testWebhook(id), 'A test is on its way')}
          >
            Send a test
          </Button>
          <Button size="xs" variant="default" onClick={() => after(enableWebhook(id, !enabled))}>
            {enabled ? 'Disable' : 'Enable'}
          </Button>
          <Button size="xs" variant="default" c="red" onClick={confirmDelete}>
            Delete
          </Button>
        </Group>
        {isOpen && <Deliveries webhook={id} />}
      </Stack>
    </Paper>
  )
}

interface NewWebhookProps {
  onClose: () => void
  onCreated: (secret: string) => void
}

function NewWebhook({ onClose, onCreated }: NewWebhookProps) {
  const cache = useQueryClient()
  const [url, setUrl] = useState('')
  const [events, setEvents] = useState<string[]>([])

  async function create(): Promise<void> {
    const secret = await createWebhook({ url: url.trim(), events: events as WebhookEvent[] })
    await cache.invalidateQueries({ queryKey: webhooksKey })
    onCreated(secret)
  }

  return (
    <FormModal
      title="Add a webhook"
      action="Add"
      isReady={/^https?:\/\/\S+$/.test(url.trim())}
      onClose={onClose}
      onSubmit={create}
    >
      <TextInput
        label="Address"
        description="This server must be able to reach it"
        placeholder="https://ci.example.com/hooks/stampede"
        data-autofocus
        value={url}
        onChange={(event) => setUrl(event.currentTarget.value)}
      />
      <MultiSelect
        label="Events"
        placeholder={events.length === 0 ? 'all' : undefined}
        data={EVENTS}
        value={events}
        onChange={setEvents}
        clearable
      />
    </FormModal>
  )
}
