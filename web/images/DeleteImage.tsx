import { Button, Stack, Text } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { keys } from '../api/keys.ts'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { formatBytes } from '../components/format.ts'
import { showDone } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import { deleteImage } from './image-queries.ts'
import { linksQuery } from './link-queries.ts'
import { versionsQuery } from './version-queries.ts'

export function DeleteImage({ image }: { image: Image }) {
  const cache = useQueryClient()
  const navigate = useNavigate()
  const [isAsking, setAsking] = useState(false)
  const { name, usedBy } = image
  const { data: versions } = useQuery(versionsQuery(name))
  const { data: links } = useQuery(linksQuery(name))
  const assigned = usedBy.machines.length
  const isBusy = usedBy.runs.length > 0

  async function remove(): Promise<void> {
    await deleteImage(name, { unassign: assigned > 0 })
    await cache.invalidateQueries({ queryKey: keys.images })
    showDone(`Image ${name} is deleted`)
    await navigate('/images', { replace: true })
  }

  return (
    <Section title="Danger zone">
      <Stack align="flex-start" gap="xs">
        <Text size="sm">
          {isBusy
            ? 'It cannot be deleted while a run works with it: wait for its end, or cancel it.'
            : `Deleting cannot be undone${freedText(versions ?? [])}.`}
        </Text>
        <Button
          color="red"
          variant="outline"
          disabled={isBusy}
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => setAsking(true)}
        >
          Delete the image
        </Button>
      </Stack>
      <ConfirmTyped
        opened={isAsking}
        onClose={() => setAsking(false)}
        title={`Delete ${name}`}
        confirmation={name}
        confirmationIs="the name"
        action="Delete the image"
        onConfirm={remove}
      >
        The image is gone for good
        {image.versionCount > 1 && `, all ${image.versionCount} versions of it`}.{' '}
        {assigned > 0 && unassignText(assigned)} {links && links.length > 0 && LINKS_TEXT}
      </ConfirmTyped>
    </Section>
  )
}

const LINKS_TEXT = 'Links to it open nothing any more.'

/** All versions go; what only they share is freed, too, and nobody has counted that. */
function freedText(versions: readonly ImageVersion[]): string {
  if (versions.length === 0 || versions.some(({ uniqueBytes }) => uniqueBytes === null)) return ''
  const sum = versions.reduce((bytes, { uniqueBytes }) => bytes + (uniqueBytes ?? 0), 0)
  return ` and frees ${versions.length > 1 ? 'at least ' : ''}${formatBytes(sum)}`
}

function unassignText(machines: number): string {
  return machines === 1
    ? 'The machine that it is assigned to has no image then; its disk stays as it is.'
    : `The ${machines} machines that it is assigned to have no image then; their disks stay as they are.`
}
