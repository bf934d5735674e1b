import { Anchor, Button, Group, List, Loader, Select, Stack, Text, TextInput } from '@mantine/core'
import { IconDownload, IconFolder, IconFolderOpen, IconFolderUp } from '@tabler/icons-react'
import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { useCallback, useEffect, useState, type FormEvent } from 'react'
import type { Image, ImageDirectory } from '#protocol/image/image-info.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { formatBytes } from '../components/format.ts'
import { Section } from '../machine/Section.tsx'
import { fileAddress, treeQuery, type FilePlace } from './version-queries.ts'

const MOST_SHOWN = 500

/** Looks into an image for one file, without a machine. */
export function OpenFile({ image: { name, info } }: { image: Image }) {
  const [typed, setTyped] = useState('/')
  const [path, setPath] = useState<string>()
  const [place, setPlace] = useState<FilePlace>({})
  const { partition, volume } = place
  /** As the last answer said: not each look has one. */
  const [volumes, setVolumes] = useState<string[]>([])
  const numbers = (info.partitions ?? []).map(({ number }) => String(number))

  const [isFollowing, setFollowing] = useState(false)
  const found = useQuery({ ...treeQuery(name, path ?? '/', place), enabled: path !== undefined })
  const isRefused = found.error !== null && typed.trim() === path

  function go(to: string): void {
    setTyped(to)
    setPath(to)
    setFollowing(true)
  }

  function submit(event: FormEvent): void {
    event.preventDefault()
    if (!typed.startsWith('/')) return
    setPath(typed.trim())
    setFollowing(false)
  }

  return (
    <Section title="Open a file">
      <Stack gap="sm">
        <form onSubmit={submit}>
          <Group gap="xs" align="flex-end">
            <TextInput
              label="Path in the image"
              placeholder="/etc/fstab"
              value={typed}
              error={typed.startsWith('/') ? isRefused : 'It begins with /'}
              onChange={(event) => setTyped(event.currentTarget.value)}
              style={{ flex: 1, minWidth: 180 }}
            />
            {numbers.length > 1 && (
              <Select
                label="Partition"
                placeholder="The root's"
                clearable
                data={numbers}
                value={partition === undefined ? null : String(partition)}
                onChange={(value) => {
                  setPlace(value === null ? {} : { partition: Number(value) })
                  setVolumes([])
                }}
                w={130}
              />
            )}
            {volumes.length > 0 && (
              <Select
                label="Logical volume"
                placeholder={partition === undefined ? "The root's" : 'The largest'}
                clearable
                data={volumes}
                value={volume ?? null}
                onChange={(value) => setPlace({ partition, volume: value ?? undefined })}
                w={220}
              />
            )}
            <Button
              type="submit"
              variant="default"
              leftSection={<IconFolderOpen size={16} aria-hidden />}
            >
              Look
            </Button>
          </Group>
        </form>
        <Text size="sm" c="dimmed">
          Read-only, from ext2 to ext4, XFS, btrfs, NTFS and FAT, also in logical volumes. Each look
          is in the audit log.
        </Text>
        {path !== undefined && (
          <Found
            name={name}
            found={found}
            isFollowing={isFollowing}
            onOpen={go}
            onVolumes={setVolumes}
          />
        )}
      </Stack>
    </Section>
  )
}

interface FoundProps {
  name: string
  found: Pick<UseQueryResult<ImageDirectory>, 'data' | 'error' | 'isFetching'>
  /** Somebody came from folder to folder: the one they pressed is gone, and its content is next. */
  isFollowing: boolean
  onOpen: (path: string) => void
  /** What else can be looked into. */
  onVolumes: (volumes: string[]) => void
}

function Found({ name, found, isFollowing, onOpen, onVolumes }: FoundProps) {
  const { data, error, isFetching } = found
  const volumes = data?.volumes
  useEffect(() => {
    if (volumes) onVolumes(volumes)
  }, [volumes, onVolumes])
  const focusList = useCallback(
    (list: HTMLElement | null) => {
      if (isFollowing) list?.focus({ preventScroll: true })
    },
    [isFollowing],
  )
  if (error) return <ErrorAlert error={error} />
  if (!data)
    return isFetching ? (
      <Group gap="xs" role="status">
        <Loader size="sm" aria-hidden />
        <Text size="sm">The server unpacks the partition</Text>
      </Group>
    ) : null
  const [only] = data.items
  const isFile =
    data.items.length === 1 && only?.kind === 'file' && data.path.endsWith(`/${only.name}`)
  const base = isFile ? data.path.slice(0, -only.name.length) : `${data.path}/`.replace('//', '/')
  return (
    <>
      <Text size="sm" role="status">
        {placeText(data)}
        {data.path}, {data.items.length === 1 ? '1 entry' : `${data.items.length} entries`}
      </Text>
      <List
        key={data.path} // each is a list of its own
        ref={focusList}
        listStyleType="none"
        size="sm"
        spacing={2}
        p={4}
        style={{ maxHeight: 320, overflowY: 'auto' }}
        tabIndex={0}
        aria-label={`Content of ${data.path}`}
      >
        {data.path !== '/' && !isFile && (
          <List.Item>
            <Anchor
              component="button"
              type="button"
              size="sm"
              onClick={() => onOpen(parentOf(data.path))}
            >
              <IconFolderUp size={14} aria-hidden /> .. (one up)
            </Anchor>
          </List.Item>
        )}
        {data.items.slice(0, MOST_SHOWN).map((item) => (
          <List.Item key={item.name}>
            {item.kind === 'directory' ? (
              <Anchor
                component="button"
                type="button"
                size="sm"
                onClick={() => onOpen(`${base}${item.name}`)}
              >
                <IconFolder size={14} aria-hidden /> {item.name}/
              </Anchor>
            ) : item.kind === 'other' ? (
              <Text span size="sm" c="dimmed">
                {item.name}
              </Text>
            ) : (
              <Anchor
                href={fileAddress(name, `${base}${item.name}`, data)}
                download
                size="sm"
                style={{ overflowWrap: 'anywhere' }}
              >
                <IconDownload size={14} aria-hidden /> {item.name}
                {item.sizeBytes !== undefined && ` (${formatBytes(item.sizeBytes)})`}
              </Anchor>
            )}
          </List.Item>
        ))}
      </List>
      {data.items.length > MOST_SHOWN && (
        <Text size="sm" c="dimmed">
          The first {MOST_SHOWN} are shown; type the path of another.
        </Text>
      )}
    </>
  )
}

function placeText({ partition, volume }: ImageDirectory): string {
  if (volume !== undefined) return `Volume ${volume}: `
  return partition === 0 ? '' : `Partition ${partition}: `
}

function parentOf(path: string): string {
  return path.replace(/\/[^/]+$/, '') || '/'
}
