import { Alert, Button, Checkbox, Code, Progress, Stack, Text, TextInput } from '@mantine/core'
import { IconCircleCheck } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { StoreMigration } from '#protocol/store-migration.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { Bytes } from '../components/Bytes.tsx'
import { countOf } from '../components/format.ts'
import { FormModal } from '../components/FormModal.tsx'
import { LossAlert } from '../components/LossAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'
import { CareButton } from './CareButton.tsx'
import { LackingVersions } from './LackingVersions.tsx'
import { cancelMigration, migrateStore } from './store-queries.ts'

/** The copy of all chunks to another store, which the server may then be started on. */
export function MigrateStore({ migration }: { migration: StoreMigration | null }) {
  const [isAsking, setIsAsking] = useState(false)
  const mayAdminister = useMay('admin')
  const isGoing = migration?.state === 'working' || migration?.state === 'waiting'
  // There is nothing to see, and nothing that this user may do.
  if (!migration && !mayAdminister) return undefined
  return (
    <Section
      title="Copy to another store"
      actions={
        isGoing ? (
          <CareButton label="Give up" care={cancelMigration} />
        ) : (
          mayAdminister && (
            <Button size="xs" variant="default" onClick={() => setIsAsking(true)}>
              Copy to another store
            </Button>
          )
        )
      }
    >
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          Every chunk is copied, and hashed on the way, while the server goes on: to move from a
          folder to S3, or back.
        </Text>
        {migration && <Copied migration={migration} isGoing={isGoing} />}
      </Stack>
      {isAsking && <Ask to={migration?.to ?? ''} onClose={() => setIsAsking(false)} />}
    </Section>
  )
}

const STATES = {
  waiting: 'Waiting',
  working: 'Copying',
  done: 'Done',
  cancelled: 'Given up; started again it goes on',
}

function Copied({ migration, isGoing }: { migration: StoreMigration; isGoing: boolean }) {
  const { from, to, state, progress, seenChunks, damagedChunks, error } = migration
  return (
    <>
      {isGoing && <Progress value={progress * 100} aria-label="Copy to another store" size="lg" />}
      {isGoing && error !== null && (
        <Alert color="red" variant="light" title="It is tried again soon">
          <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
            {error}
          </Text>
        </Alert>
      )}
      <FactList
        facts={[
          ['State', STATES[state]],
          ['To', to],
          ['Looked at', countOf(seenChunks, 'chunk')],
          ['Copied', countOf(migration.copiedChunks, 'chunk')],
          ['That is', <Bytes key="bytes" value={migration.copiedBytes} />],
          ['Damaged here, not copied', damagedChunks > 0 ? damagedChunks : undefined],
          ['Ended', <RelativeTime key="ended" at={migration.finishedAt} />],
        ]}
      />
      {state === 'done' && migration.lostChunks > 0 && <Lacking migration={migration} />}
      {state === 'done' && (
        <Alert
          color="green"
          variant="light"
          icon={<IconCircleCheck aria-hidden />}
          title="To use it"
        >
          <Stack gap="xs" align="flex-start">
            <Text size="sm">Stop the server, and copy what came since:</Text>
            <Code block style={{ maxWidth: '100%', whiteSpace: 'pre-wrap' }}>
              {`npm run store -- migrate --from ${from} --to ${to}`}
            </Code>
            <Text size="sm">Then start it with</Text>
            <Code block style={{ maxWidth: '100%', whiteSpace: 'pre-wrap' }}>
              {`STAMPEDE_STORE=${to}`}
            </Code>
          </Stack>
        </Alert>
      )}
    </>
  )
}

function Lacking({ migration: { lacking } }: { migration: StoreMigration }) {
  return (
    <LossAlert title="Neither store has all that images need">
      <Stack gap="xs">
        <Text size="sm">Capture or upload these again, and copy once more.</Text>
        <LackingVersions versions={lacking} />
      </Stack>
    </LossAlert>
  )
}

function Ask({ to: before, onClose }: { to: string; onClose: () => void }) {
  const cache = useQueryClient()
  const [to, setTo] = useState(before)
  const [verify, setVerify] = useState(false)

  async function start(): Promise<void> {
    await migrateStore({ to: to.trim(), ...(verify && { verify }) })
    await cache.invalidateQueries({ queryKey: keys.store })
  }

  return (
    <FormModal
      title="Copy to another store"
      action="Copy"
      isReady={to.trim() !== ''}
      onClose={onClose}
      onSubmit={start}
    >
      {(refusal) => (
        <>
          <TextInput
            label="Where to"
            description="A bucket, with the AWS_* names of the server, or a folder of the server"
            placeholder="s3://stampede/images"
            data-autofocus
            value={to}
            error={refusal?.code === 'refused-store'}
            onChange={(event) => setTo(event.currentTarget.value)}
          />
          <Checkbox
            label="Also read back what is there already"
            checked={verify}
            onChange={(event) => setVerify(event.currentTarget.checked)}
          />
        </>
      )}
    </FormModal>
  )
}
