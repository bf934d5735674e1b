import { Button, Code, Skeleton, Text } from '@mantine/core'
import { IconHistory } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { showDone } from '../components/show.ts'
import { useIsNarrow } from '../components/use-is-narrow.ts'
import { Section } from '../machine/Section.tsx'
import { EditRetention } from './EditRetention.tsx'
import { VersionCards } from './VersionCards.tsx'
import { VersionsTable } from './VersionsTable.tsx'
import { deleteVersion, promoteVersion, versionsQuery } from './version-queries.ts'

type Asked = { kind: 'promote' | 'delete'; version: ImageVersion } | { kind: 'retention' }

/** What the name stood for, stands for, and can stand for again. */
export function ImageVersions({ image: { name, version: promoted } }: { image: Image }) {
  const cache = useQueryClient()
  const mayOperate = useMay('operator')
  const { data: versions, error, refetch } = useQuery(versionsQuery(name))
  const List = useIsNarrow() ? VersionCards : VersionsTable
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
        <List
          versions={versions}
          promoted={promoted}
          onAsk={(kind, version) => setAsked({ kind, version })}
        />
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
          {asked.version.usedBy.links > 0 && ' Links to it open nothing any more.'}
        </ConfirmTyped>
      )}
      {asked?.kind === 'retention' && <EditRetention name={name} onClose={close} />}
    </Section>
  )
}
