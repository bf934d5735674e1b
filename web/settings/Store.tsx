import { Progress, Skeleton, Stack, Switch, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { StoreStatus } from '#protocol/store.ts'
import { useMay } from '../api/session.ts'
import { Bytes } from '../components/Bytes.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { LossAlert } from '../components/LossAlert.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'
import { CareButton } from './CareButton.tsx'
import { LackingVersions } from './LackingVersions.tsx'
import { MigrateStore } from './MigrateStore.tsx'
import { recompressStore, scrubStore, storeQuery, sweepStore } from './store-queries.ts'
import { useCare } from './use-care.ts'

/** Where the chunks of all images lie, and what is done so that they stay. */
export function Store() {
  const { data: store, error, refetch } = useQuery(storeQuery)
  if (error) return <ErrorAlert error={error} onRetry={() => void refetch()} />
  if (!store) return <Skeleton height={320} role="status" aria-label="Loading the store" />
  return (
    <Stack>
      {store.damaged.length > 0 && <Damage store={store} />}
      <Room store={store} />
      <Contents store={store} />
      <Scrub store={store} />
      <Recompression store={store} />
      <MigrateStore migration={unlessInUse(store)} />
    </Stack>
  )
}

/** Once the server uses the copy, there is nothing left to say of how it was made. */
function unlessInUse({ migration, location }: StoreStatus): StoreStatus['migration'] {
  return migration?.to === location ? null : migration
}

function Damage({ store: { damaged, healFrom } }: { store: StoreStatus }) {
  return (
    <LossAlert title="The store has lost parts of images">
      <Stack gap="xs">
        <Text size="sm">
          These cannot be deployed until their content comes again: capture it from a machine, or
          upload it.{' '}
          {healFrom !== null && `${healFrom} was asked for it and does not have it, or not whole.`}
        </Text>
        <LackingVersions versions={damaged} />
      </Stack>
    </LossAlert>
  )
}

const bytes = (value: number | null) => value !== null && <Bytes value={value} />

function Room({ store }: { store: StoreStatus }) {
  const { availableBytes, freeBytes, totalBytes, reserveBytes, quotaBytes } = store
  return (
    <Section title="Room">
      <FactList
        facts={[
          ['Where', store.location],
          ['Left', availableBytes === null ? 'no limit known' : bytes(availableBytes)],
          ['Free on its disk', bytes(freeBytes) || undefined],
          ['Size of its disk', bytes(totalBytes) || undefined],
          ['Kept in reserve', reserveBytes > 0 ? bytes(reserveBytes) : undefined],
          ['Quota', bytes(quotaBytes) || undefined],
        ]}
      />
    </Section>
  )
}

function Contents({ store }: { store: StoreStatus }) {
  const { codecs } = store
  return (
    <Section
      title="Contents"
      actions={
        <CareButton
          label="Remove what nothing needs"
          care={sweepStore}
          done={({ removedChunks }) => `Removed ${countOf(removedChunks, 'chunk')}`}
        />
      }
    >
      <FactList
        facts={[
          ['Images', store.images],
          ['Chunks', store.chunks.toLocaleString('en')],
          ['Stored', bytes(store.storedBytes)],
          ['Part of no image', unusedFact(store.unusedBytes)],
          ['Content', bytes(store.contentBytes)],
          ['Saved by sharing', bytes(store.savedBytes)],
          ['As zstd', codecFact(codecs.zstd)],
          ['As gzip', codecFact(codecs.gzip)],
          ['Last swept', <RelativeTime key="swept" at={store.sweptAt} />],
        ]}
      />
    </Section>
  )
}

function unusedFact(value: number) {
  if (value === 0) return undefined
  return (
    <>
      <Bytes value={value} />, goes at the next sweep unless a capture or upload goes on
    </>
  )
}

function codecFact({ chunks, storedBytes }: { chunks: number; storedBytes: number }) {
  if (chunks === 0) return undefined
  return (
    <>
      {countOf(chunks, 'chunk')}, <Bytes value={storedBytes} />
    </>
  )
}

const SCRUB_STATES = { off: 'Only when somebody asks', waiting: 'Waiting', working: 'Reading' }

function Scrub({ store: { scrub } }: { store: StoreStatus }) {
  const { state, progress, last } = scrub
  return (
    <Section
      title="Check of all chunks"
      actions={
        <CareButton
          label="Check now"
          care={scrubStore}
          done={() => 'Every chunk will be read'}
          isOff={state === 'working'}
        />
      }
    >
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          Every chunk is read from the disk and hashed. What rotted is set aside, and the images
          that it belongs to are named.
        </Text>
        {state === 'working' && (
          <Progress value={progress * 100} aria-label="Check of all chunks" size="lg" />
        )}
        <FactList
          facts={[
            ['State', SCRUB_STATES[state]],
            ['Read so far', state === 'working' ? bytes(scrub.checkedBytes) : undefined],
            ['Last one ended', <RelativeTime key="last" at={last?.finishedAt} />],
            ['It read', last ? countOf(last.checkedChunks, 'chunk') : undefined],
            ['It found', last ? damagedText(last.damagedChunks) : undefined],
            ['Next one', scrub.nextAt && <RelativeTime key="next" at={scrub.nextAt} />],
          ]}
        />
      </Stack>
    </Section>
  )
}

function damagedText(chunks: number): string {
  if (chunks === 0) return 'no damage'
  return chunks === 1 ? 'one damaged chunk' : `${chunks} damaged chunks`
}

const RECOMPRESSION_STATES = {
  off: 'Off',
  waiting: 'Waiting until nothing else is to do',
  working: 'At work',
  done: 'Done with all chunks',
}

function Recompression({ store: { recompression } }: { store: StoreStatus }) {
  const { enabled, state, progress, replacedChunks, savedBytes, finishedAt } = recompression
  const mayAdminister = useMay('admin')
  const switching = useCare((on: boolean) => recompressStore({ enabled: on }))
  return (
    <Section
      title="Recompression"
      actions={
        <CareButton
          label="Recompress now"
          care={() => recompressStore({})}
          done={() => 'Starts when nothing else is to do'}
          isOff={state === 'working'}
        />
      }
    >
      <Stack gap="sm">
        <Switch
          label="Store chunks in fewer bytes when nothing else is to do"
          description="Content and digests of images stay as they are"
          checked={enabled}
          disabled={!mayAdminister}
          onChange={(event) => switching.isPending || switching.mutate(event.currentTarget.checked)}
        />
        {(state === 'working' || (state === 'waiting' && progress > 0)) && (
          <Progress value={progress * 100} aria-label="Recompression" size="lg" />
        )}
        <FactList
          facts={[
            ['State', RECOMPRESSION_STATES[state]],
            ['Saved so far', bytes(savedBytes)],
            ['Chunks made smaller', replacedChunks.toLocaleString('en')],
            ['Last round ended', <RelativeTime key="finished" at={finishedAt} />],
          ]}
        />
      </Stack>
    </Section>
  )
}
