import { Anchor, Code, Group, Skeleton, Stack, Table, Text, TextInput } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useSearchParams } from 'react-router'
import type { AuditEntry } from '#protocol/account.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { Card, CardList } from '../components/CardList.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { useTyped } from '../components/use-typed.ts'
import { useIsNarrow } from '../components/use-is-narrow.ts'
import { Section } from '../machine/Section.tsx'
import { auditQuery } from './settings-queries.ts'

const FILTERS = [
  { name: 'actor', label: 'Who', placeholder: 'maria' },
  { name: 'action', label: 'What', placeholder: 'run.create' },
  { name: 'target', label: 'To what', placeholder: '52:54:00:12:34:56' },
] as const
const TYPING_MILLISECONDS = 300
/** The first status of an answer that refused. */
const REFUSED_STATUS = 400

/** Who did what to which machine; nobody can change or delete it. */
export function AuditLog() {
  const [search, setSearch] = useSearchParams()
  const filter = Object.fromEntries(
    FILTERS.flatMap(({ name }) => {
      const value = search.get(name)?.trim()
      return value ? [[name, value]] : []
    }),
  )
  const log = useInfiniteQuery(auditQuery(filter))
  const entries = log.data?.pages.flatMap((page) => page.items)
  const Entries = useIsNarrow() ? EntryCards : EntryTable

  function change(name: string, value: string): void {
    setSearch(
      (known) => {
        const next = new URLSearchParams(known)
        if (value === '') next.delete(name)
        else next.set(name, value)
        return next
      },
      { replace: true },
    )
  }

  return (
    <Section title="Audit log">
      <Stack>
        <Group grow preventGrowOverflow={false}>
          {FILTERS.map(({ name, label, placeholder }) => (
            <FilterField
              key={name}
              label={label}
              placeholder={placeholder}
              value={search.get(name) ?? ''}
              onTyped={(value) => change(name, value)}
            />
          ))}
        </Group>
        <ErrorAlert error={log.error} onRetry={() => void log.refetch()} />
        {!entries && !log.error && (
          <Skeleton height={240} role="status" aria-label="Loading the audit log" />
        )}
        {entries?.length === 0 && (
          <Text size="sm" c="dimmed">
            Nothing of that kind was done.
          </Text>
        )}
        {entries && entries.length > 0 && <Entries entries={entries} />}
        {log.hasNextPage && (
          <BusyButton
            variant="default"
            isBusy={log.isFetchingNextPage}
            onClick={() => void log.fetchNextPage()}
          >
            Older entries
          </BusyButton>
        )}
      </Stack>
    </Section>
  )
}

interface FilterFieldProps {
  label: string
  placeholder: string
  value: string
  onTyped: (value: string) => void
}

function FilterField({ label, placeholder, value, onTyped }: FilterFieldProps) {
  const [text, type] = useTyped(value, onTyped, TYPING_MILLISECONDS)
  return (
    <TextInput
      label={label}
      placeholder={placeholder}
      value={text}
      onChange={(event) => type(event.currentTarget.value)}
    />
  )
}

function EntryTable({ entries }: { entries: readonly AuditEntry[] }) {
  return (
    <Table.ScrollContainer minWidth={760} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={110}>When</Table.Th>
            <Table.Th>Who</Table.Th>
            <Table.Th>What</Table.Th>
            <Table.Th w={170}>To what</Table.Th>
            <Table.Th w={90}>Outcome</Table.Th>
            <Table.Th>Details</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {entries.map((entry) => (
            <EntryRow key={entry.id} entry={entry} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

/** The table where there is no room for one. */
function EntryCards({ entries }: { entries: readonly AuditEntry[] }) {
  return (
    <CardList label="List of the audit log">
      {entries.map((entry) => (
        <Card key={entry.id}>
          <Group justify="space-between" gap="xs">
            <Code>{entry.action}</Code>
            <Outcome status={entry.status} />
          </Group>
          <Text size="sm">
            {entry.actor.name}, <RelativeTime at={entry.at} />
          </Text>
          {entry.target && <Target target={entry.target} />}
          <Text size="xs" c="dimmed">
            {originText(entry)}
          </Text>
          <Details details={entry.details} />
        </Card>
      ))}
    </CardList>
  )
}

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of audit log' }

function EntryRow({
  entry: { at, actor, address, action, target, status, details },
}: {
  entry: AuditEntry
}) {
  return (
    <Table.Tr>
      <Table.Td>
        <RelativeTime at={at} />
      </Table.Td>
      <Table.Td>
        <Text size="sm">{actor.name}</Text>
        <Text size="xs" c="dimmed">
          {originText({ actor, address })}
        </Text>
      </Table.Td>
      <Table.Td>
        <Code>{action}</Code>
      </Table.Td>
      <Table.Td style={{ overflowWrap: 'anywhere' }}>
        {target && <Target target={target} />}
      </Table.Td>
      <Table.Td>
        <Outcome status={status} />
      </Table.Td>
      <Table.Td>
        <Details details={details} />
      </Table.Td>
    </Table.Tr>
  )
}

function originText({ actor, address }: Pick<AuditEntry, 'actor' | 'address'>): string {
  return [actor.kind === 'user' ? undefined : actor.kind, address].filter(Boolean).join(', ')
}

function Outcome({ status }: { status: number }) {
  const isRefused = status >= REFUSED_STATUS
  return (
    <Text size="sm" c={isRefused ? 'red' : 'dimmed'} fw={isRefused ? 600 : undefined}>
      {isRefused ? `refused (${status})` : 'done'}
    </Text>
  )
}

/** About four lines of a column, or of a phone. */
const FOLDED_CHARACTERS = 120

/**
 * Each machine of a plan has its entry, and each entry says what the whole plan was asked for.
 * Mantine's Spoiler makes each of them a landmark, all without a name.
 */
function Details({ details }: Pick<AuditEntry, 'details'>) {
  const [isOpen, setOpen] = useState(false)
  if (details === undefined || details === null) return undefined
  const text = JSON.stringify(details)
  const isLong = text.length > FOLDED_CHARACTERS
  return (
    <>
      <Code style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>
        {isLong && !isOpen ? `${text.slice(0, FOLDED_CHARACTERS)}…` : text}
      </Code>
      {isLong && (
        <Anchor
          component="button"
          type="button"
          size="sm"
          display="block"
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen ? 'Show less' : 'Show all'}
        </Anchor>
      )}
    </>
  )
}

const PAGES: Record<string, string> = { machine: 'machines', run: 'runs', image: 'images' }

function Target({ target: { kind, id } }: { target: NonNullable<AuditEntry['target']> }) {
  const page = PAGES[kind]
  if (page === undefined) return <Text size="sm">{id}</Text>
  return (
    <Anchor component={Link} to={`/${page}/${id}`} size="sm">
      {kind} {id}
    </Anchor>
  )
}
