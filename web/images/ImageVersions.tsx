import {
  Badge,
  Button,
  Code,
  Group,
  Menu,
  Skeleton,
  Table,
  Text,
  VisuallyHidden,
} from '@mantine/core'
import { IconDots, IconHistory } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'
import type { Image } from '#protocol/image-info.ts'
import type { ImageVersion } from '#protocol/image-version.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { Bytes } from '../components/Bytes.tsx'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showDone } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import { planPath } from '../plan/plan-query.ts'
import { EditRetention } from './EditRetention.tsx'
import { deleteVersion, promoteVersion, versionsQuery } from './version-queries.ts'

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of versions' }

type Asked = { kind: 'promote' | 'delete'; version: ImageVersion } | { kind: 'retention' }

/** What the name stood for, stands for, and can stand for again. */
export function ImageVersions({ image: { name, version: promoted } }: { image: Image }) {
  const cache = useQueryClient()
  const mayOperate = useMay('operator')
  const { data: versions, error, refetch } = useQuery(versionsQuery(name))
  const [asked, setAsked] = useState<Asked>()
  const close = () => setAsked(undefined)

  async function change(work: () => Promise<void>, done: string): Promise<void> {
    await work()
    await cache.invalidateQueries({ queryKey: keys.image(name) })
    await cache.invalidateQueries({ queryKey: keys.images })
    showDone(done)
  }

  return (
    <Section
      title="Versions"
      actions={
        mayOperate && (
          <Button
            variant="default"
            size="xs"
            leftSection={<IconHistory size={14} aria-hidden />}
            onClick={() => setAsked({ kind: 'retention' })}
          >
            What is kept
          </Button>
        )
      }
    >
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!versions && !error && (
        <Skeleton height={80} role="status" aria-label="Loading the versions" />
      )}
      {versions && (
        <Table.ScrollContainer minWidth={640} scrollAreaProps={{ viewportProps: REACHABLE }}>
          <Table verticalSpacing="xs">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Version</Table.Th>
                <Table.Th>Made</Table.Th>
                <Table.Th>From</Table.Th>
                <Table.Th ta="right">Its own</Table.Th>
                <Table.Th>Used by</Table.Th>
                <Table.Th>
                  <VisuallyHidden>Actions</VisuallyHidden>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {versions.map((version) => (
                <VersionRow
                  key={version.version}
                  version={version}
                  mayOperate={mayOperate}
                  isOlder={version.version < promoted}
                  onAsk={(kind) => setAsked({ kind, version })}
                />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {asked?.kind === 'promote' && (
        <FormModal
          title={`Let ${name} stand for version ${asked.version.version}`}
          action={asked.version.version < promoted ? 'Roll back' : 'Promote'}
          onClose={close}
          onSubmit={() =>
            change(
              () => promoteVersion(name, asked.version.version),
              `${name} stands for version ${asked.version.version} now`,
            )
          }
        >
          <Text size="sm">
            Machines that are assigned <Code>{name}</Code> get version {asked.version.version} at
            their next deployment, in place of version {promoted}. Runs that have begun keep theirs,
            and so do machines that are assigned a version by its number.
          </Text>
        </FormModal>
      )}
      {asked?.kind === 'delete' && (
        <ConfirmTyped
          opened
          onClose={close}
          title={`Delete version ${asked.version.version} of ${name}`}
          confirmation={`${name}@${asked.version.version}`}
          confirmationIs="the version"
          action="Delete the version"
          onConfirm={() =>
            change(
              () => deleteVersion(name, asked.version.version),
              `Version ${asked.version.version} is deleted`,
            )
          }
        >
          The version is gone for good, and cannot be rolled back to.
        </ConfirmTyped>
      )}
      {asked?.kind === 'retention' && <EditRetention name={name} onClose={close} />}
    </Section>
  )
}

interface VersionRowProps {
  version: ImageVersion
  mayOperate: boolean
  isOlder: boolean
  onAsk: (kind: 'promote' | 'delete') => void
}

function VersionRow({ version: row, mayOperate, isOlder, onAsk }: VersionRowProps) {
  const { image, version, digest, isPromoted, createdAt, createdBy, runId, info, uniqueBytes } = row
  return (
    <Table.Tr>
      <Table.Td>
        <Group gap="xs" wrap="nowrap">
          <Text size="sm" fw={600} className="tabular">
            {version}
          </Text>
          {isPromoted && (
            <Badge size="sm" color="teal.9">
              promoted
            </Badge>
          )}
        </Group>
        <Code>{digest.slice(0, 12)}</Code>
      </Table.Td>
      <Table.Td>
        <RelativeTime at={createdAt} />
        <Text size="xs" c="dimmed">
          {createdBy === null ? '' : `by ${createdBy}`}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          {info.source ?? row.fileName ?? 'unknown'}
        </Text>
        {runId !== null && (
          <Text size="xs" component={Link} to={`/runs/${runId}`}>
            the run
          </Text>
        )}
      </Table.Td>
      <Table.Td ta="right">
        {uniqueBytes === null ? 'being counted' : <Bytes value={uniqueBytes} />}
      </Table.Td>
      <Table.Td>
        <Text size="sm">{usedByText(row)}</Text>
      </Table.Td>
      <Table.Td ta="right">
        <Menu position="bottom-end">
          <Menu.Target>
            <Button
              variant="subtle"
              size="compact-sm"
              aria-label={`Actions for version ${version}`}
              px={4}
            >
              <IconDots size={16} aria-hidden />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item component="a" href={`/images/${image}@${version}.img.gz`} download>
              Download
            </Menu.Item>
            {mayOperate && (
              <Menu.Item
                component={Link}
                to={planPath({ workflow: 'deploy', image: `${image}@${version}` })}
              >
                Deploy it
              </Menu.Item>
            )}
            {mayOperate && !isPromoted && (
              <>
                <Menu.Item onClick={() => onAsk('promote')}>
                  {isOlder ? 'Roll back to it' : 'Promote'}
                </Menu.Item>
                <Menu.Item color="red" onClick={() => onAsk('delete')}>
                  Delete
                </Menu.Item>
              </>
            )}
          </Menu.Dropdown>
        </Menu>
      </Table.Td>
    </Table.Tr>
  )
}

function usedByText({ usedBy: { machines, runs, links } }: ImageVersion): string {
  const count = (many: number, word: string) =>
    many > 0 && (many === 1 ? `1 ${word}` : `${many} ${word}s`)
  const parts = [
    count(machines.length, 'machine'),
    count(runs.length, 'run'),
    count(links, 'link'),
  ].filter((part) => part !== false)
  return parts.join(', ') || 'nothing by itself'
}
