import { Button, Group, Stack, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { ImageLink } from '#protocol/image/image-link.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { Card, CardList } from '../components/CardList.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showDone } from '../components/show.ts'
import { linksQuery, revokeLink } from './link-queries.ts'

/** The links that open the image, and their end. */
export function ImageLinks({ name }: { name: string }) {
  const cache = useQueryClient()
  const mayOperate = useMay('operator')
  const { data: links, error, refetch } = useQuery(linksQuery(name))
  const [asked, setAsked] = useState<ImageLink>()

  async function revoke({ id }: ImageLink): Promise<void> {
    await revokeLink(id)
    await cache.invalidateQueries({ queryKey: keys.image(name) })
    showDone('The link opens nothing any more')
  }

  return (
    <>
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {links && links.length > 0 && (
        <Stack gap="xs" w="100%">
          <Text size="sm" fw={600}>
            Links that are good
          </Text>
          <CardList label="Links that are good">
            {links.map((link) => (
              <Card key={link.id}>
                <Group justify="space-between" gap="xs" wrap="nowrap">
                  <Words link={link} name={name} />
                  {mayOperate && (
                    <Button
                      size="compact-sm"
                      variant="default"
                      c="red"
                      style={{ flexShrink: 0 }}
                      onClick={() => setAsked(link)}
                    >
                      Revoke
                    </Button>
                  )}
                </Group>
              </Card>
            ))}
          </CardList>
        </Stack>
      )}
      {asked && (
        <FormModal
          title="Revoke the link"
          action="Revoke"
          color="red"
          onClose={() => setAsked(undefined)}
          onSubmit={() => revoke(asked)}
        >
          <Text size="sm">
            Whoever has it can read the image no more. A download that began goes on to its end.
          </Text>
        </FormModal>
      )}
    </>
  )
}

/** `debian-13@2, made by maria 5 min ago, never used, ends in 23 h`. */
function Words({ link, name }: { link: ImageLink; name: string }) {
  const { image, createdBy, createdAt, lastUsedAt, expiresAt } = link
  return (
    <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
      {image === name ? 'Made' : `${image}, made`} {createdBy !== null && `by ${createdBy} `}
      <RelativeTime at={createdAt} />,{' '}
      {lastUsedAt === null ? (
        'never used'
      ) : (
        <>
          used <RelativeTime at={lastUsedAt} />
        </>
      )}
      , ends <RelativeTime at={expiresAt} />
    </Text>
  )
}
