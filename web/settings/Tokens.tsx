import { Badge, Button, Skeleton, Table, Text } from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconPlus } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { ApiToken } from '#protocol/account.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showError } from '../components/show.ts'
import { useNow } from '../components/use-now.ts'
import { Section } from '../machine/Section.tsx'
import { SCOPE_TEXTS } from './account-texts.ts'
import { NewToken } from './NewToken.tsx'
import { SecretOnce } from './SecretOnce.tsx'
import { revokeToken, tokensKey, tokensQuery } from './settings-queries.ts'

/** For scripts: instead of a password, and ended one by one. */
export function Tokens() {
  const { data: tokens, error, refetch } = useQuery(tokensQuery)
  const [isCreating, setCreating] = useState(false)
  const [secret, setSecret] = useState<string>()
  return (
    <Section
      title="API tokens"
      actions={
        <Button
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => setCreating(true)}
        >
          Create a token
        </Button>
      }
    >
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!tokens && !error && <Skeleton height={80} role="status" aria-label="Loading the tokens" />}
      {tokens?.length === 0 && (
        <Text size="sm" c="dimmed">
          None. Scripts and the command line use one instead of a password.
        </Text>
      )}
      {tokens && tokens.length > 0 && <TokenTable tokens={tokens} />}
      {isCreating && <NewToken onClose={() => setCreating(false)} onCreated={setSecret} />}
      {secret !== undefined && (
        <SecretOnce
          title="The new token"
          secret={secret}
          hint="Send it in the header “Authorization: Bearer …”, or set STAMPEDE_TOKEN for the command line."
          onClose={() => setSecret(undefined)}
        />
      )}
    </Section>
  )
}

function TokenTable({ tokens }: { tokens: readonly ApiToken[] }) {
  const cache = useQueryClient()
  const confirmRevoke = ({ id, name }: ApiToken) =>
    modals.openConfirmModal({
      title: `Revoke ${name}`,
      children: 'What uses it is refused from now on.',
      labels: { confirm: 'Revoke', cancel: 'Cancel' },
      confirmProps: { color: 'red' },
      onConfirm: () =>
        void revokeToken(id)
          .catch((error: unknown) => showError(error))
          .finally(() => cache.invalidateQueries({ queryKey: tokensKey })),
    })
  return (
    <Table.ScrollContainer minWidth={720} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table verticalSpacing="sm">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Owner</Table.Th>
            <Table.Th>May</Table.Th>
            <Table.Th>Last used</Table.Th>
            <Table.Th>Ends</Table.Th>
            <Table.Th w={100}>State</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {tokens.map((token) => (
            <Table.Tr key={token.id}>
              <Table.Td fw={600}>{token.name}</Table.Td>
              <Table.Td>{token.owner ?? 'the admin token'}</Table.Td>
              <Table.Td>{mayText(token)}</Table.Td>
              <Table.Td>
                <RelativeTime at={token.lastUsedAt} />
              </Table.Td>
              <Table.Td>
                <RelativeTime at={token.expiresAt} />
              </Table.Td>
              <Table.Td>
                <TokenState token={token} onRevoke={() => confirmRevoke(token)} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of API tokens' }

function mayText({ role, scopes }: ApiToken): string {
  if (scopes === null) return role
  const changes = scopes.map((scope) => SCOPE_TEXTS[scope].toLowerCase())
  return `${role}; changes ${changes.length > 0 ? changes.join(', ') : 'nothing'}`
}

function TokenState({ token, onRevoke }: { token: ApiToken; onRevoke: () => void }) {
  const { expiresAt } = token
  const state = useNow((now) => (isPast(expiresAt, now) ? 'expired' : 'valid'))
  if (token.revokedAt !== null) return <Badge color="gray">revoked</Badge>
  if (state === 'expired') return <Badge color="gray">expired</Badge>
  return (
    <Button size="compact-sm" variant="default" c="red" onClick={onRevoke}>
      Revoke
    </Button>
  )
}

function isPast(at: string | null, now: Date): boolean {
  return at !== null && new Date(at) <= now
}
