import { Button, SimpleGrid, Skeleton, Stack, Text } from '@mantine/core'
import { IconPencil, IconPlayerPlay } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useParams } from 'react-router'
import { RequestError } from '../api/request-error.ts'
import { useMay } from '../api/session.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { planPath } from '../plan/plan-query.ts'
import { DamagedImage } from './DamagedImage.tsx'
import { DeleteImage } from './DeleteImage.tsx'
import { DownloadImage } from './DownloadImage.tsx'
import { EditImage } from './EditImage.tsx'
import { imageQuery, type EditedImage } from './image-queries.ts'
import { ImageFacts } from './ImageFacts.tsx'
import { ImageLayout } from './ImageLayout.tsx'
import { ImageUse } from './ImageUse.tsx'
import { ImageVersions } from './ImageVersions.tsx'
import { OpenFile } from './OpenFile.tsx'

const BACK = { to: '/images', label: 'Images' }

export function ImagePage() {
  const { name = '' } = useParams()
  const { data, error, refetch } = useQuery(imageQuery(name))
  // Somebody deleted or renamed it: nothing that is known of it holds any more.
  const isGone = error instanceof RequestError && error.status === 404
  if (!data || isGone)
    return (
      <>
        <PageTitle title={name} back={BACK} />
        {error ? (
          <ErrorAlert error={error} onRetry={() => void refetch()} />
        ) : (
          <Skeleton height={360} role="status" aria-label="Loading the image" />
        )}
      </>
    )
  return <KnownImage edited={data} onChanged={() => void refetch()} />
}

function KnownImage({ edited, onChanged }: { edited: EditedImage; onChanged: () => void }) {
  const { image } = edited
  const mayOperate = useMay('operator')
  const [isEditing, setEditing] = useState(false)
  return (
    <>
      <PageTitle
        title={image.name}
        back={BACK}
        subtitle={image.description ?? <Text c="dimmed">No description</Text>}
        actions={
          mayOperate && (
            <>
              <Button
                variant="default"
                leftSection={<IconPencil size={16} aria-hidden />}
                onClick={() => setEditing(true)}
              >
                Edit
              </Button>
              {!image.damaged && (
                <Button
                  component={Link}
                  to={planPath({ workflow: 'deploy', image: image.name })}
                  leftSection={<IconPlayerPlay size={16} aria-hidden />}
                >
                  Deploy
                </Button>
              )}
            </>
          )
        }
      />
      <Stack>
        <DamagedImage image={image} />
        <ImageLayout image={image} />
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <ImageFacts image={image} />
          <Stack>
            <ImageUse image={image} />
            <DownloadImage image={image} />
          </Stack>
        </SimpleGrid>
        <ImageVersions image={image} />
        {mayOperate && <OpenFile image={image} />}
        {mayOperate && <DeleteImage image={image} />}
      </Stack>
      {isEditing && (
        <EditImage edited={edited} onClose={() => setEditing(false)} onChanged={onChanged} />
      )}
    </>
  )
}
