import { Button, Group, Skeleton, Stack, Text, TextInput } from '@mantine/core'
import {
  IconCamera,
  IconDisc,
  IconSearch,
  IconUpload,
  IconWorldDownload,
} from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useSearchParams } from 'react-router'
import { imagesQuery } from '../api/images.ts'
import { useMay } from '../api/session.ts'
import { EmptyState } from '../components/EmptyState.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { useTyped } from '../components/use-typed.ts'
import { useIsNarrow } from '../components/use-is-narrow.ts'
import { planPath } from '../plan/plan-query.ts'
import { DropImages } from './DropImages.tsx'
import { ImageCards } from './ImageCards.tsx'
import { ImagesTable } from './ImagesTable.tsx'
import { PullFromUrl } from './PullFromUrl.tsx'
import { Pulls } from './Pulls.tsx'
import { NewUpload } from './NewUpload.tsx'
import { StoreUse } from './StoreUse.tsx'
import { Uploads } from './Uploads.tsx'

/** The library: what machines can be given, and what it costs to keep. */
export function ImagesPage() {
  const { data: images, error, refetch } = useQuery(imagesQuery)
  const [search, setSearch] = useSearchParams()
  const mayOperate = useMay('operator')
  const isNarrow = useIsNarrow()
  const [files, setFiles] = useState<readonly File[]>()
  const [isPulling, setPulling] = useState(false)
  const [typed, type] = useTyped(search.get('q') ?? '', (q) =>
    setSearch(q === '' ? {} : { q }, { replace: true }),
  )
  const wanted = typed.trim().toLowerCase()
  const shown = images?.filter((image) =>
    [image.name, image.description, image.fileName, image.info.operatingSystem, image.info.source]
      .join(' ')
      .toLowerCase()
      .includes(wanted),
  )
  return (
    <DropImages isActive={mayOperate} onDrop={setFiles}>
      <PageTitle
        title="Images"
        subtitle={<StoreUse />}
        actions={
          mayOperate && (
            <NewImageButtons onUpload={() => setFiles([])} onPull={() => setPulling(true)} />
          )
        }
      />
      <Stack>
        <Uploads />
        <Pulls />
        <ErrorAlert error={error} onRetry={() => void refetch()} />
        {!images && !error && (
          <Skeleton height={280} role="status" aria-label="Loading the images" />
        )}
        {images?.length === 0 && (
          <EmptyState icon={IconDisc} title="No images yet">
            {mayOperate
              ? 'Capture a machine that was set up by hand, or drop a disk image here: raw, qcow2, gzip, xz, zstd or bzip2.'
              : 'An operator has to capture or upload one first.'}
          </EmptyState>
        )}
        {images && images.length > 0 && (
          <TextInput
            aria-label="Search images"
            placeholder="Search by name, system or description"
            leftSection={<IconSearch size={16} aria-hidden />}
            maw={420}
            value={typed}
            onChange={(event) => type(event.currentTarget.value)}
          />
        )}
        {shown &&
          shown.length > 0 &&
          (isNarrow ? <ImageCards images={shown} /> : <ImagesTable images={shown} />)}
        {shown?.length === 0 && images && images.length > 0 && (
          <Text c="dimmed">No image is called or described like that.</Text>
        )}
      </Stack>
      {isPulling && <PullFromUrl onClose={() => setPulling(false)} />}
      {files && <NewUpload files={files} onClose={() => setFiles(undefined)} />}
    </DropImages>
  )
}

function NewImageButtons({ onUpload, onPull }: { onUpload: () => void; onPull: () => void }) {
  return (
    <Group gap="xs">
      <Button
        variant="default"
        component={Link}
        to={planPath({ workflow: 'capture' })}
        leftSection={<IconCamera size={16} aria-hidden />}
      >
        Capture a machine
      </Button>
      <Button
        variant="default"
        leftSection={<IconWorldDownload size={16} aria-hidden />}
        onClick={onPull}
      >
        From a URL
      </Button>
      <Button leftSection={<IconUpload size={16} aria-hidden />} onClick={onUpload}>
        Upload
      </Button>
    </Group>
  )
}
