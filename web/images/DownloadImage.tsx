import { Button, Code, Group, Menu, Stack, Text } from '@mantine/core'
import { IconChevronDown, IconDownload, IconLink } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Image } from '#protocol/image/image-info.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { CopyButton } from '../components/CopyButton.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showError } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import { ImageLinks } from './ImageLinks.tsx'
import { createLink } from './link-queries.ts'

const OTHER_FILES = [
  { suffix: '.img.zst', what: 'zstd, unpacked fastest' },
  { suffix: '.qcow2', what: 'for QEMU, without its zeros' },
  { suffix: '.img', what: 'raw, as large as the disk' },
]

/** The image as a file, and a line that writes it to a disk without an agent. */
export function DownloadImage({ image: { name, damaged } }: { image: Image }) {
  return (
    <Section title="Take it elsewhere">
      <Stack align="flex-start" gap="sm">
        {damaged ? (
          <Text size="sm" c="dimmed">
            Not while the store lacks a part of it.
          </Text>
        ) : (
          <Downloads name={name} />
        )}
        <ImageLinks name={name} />
      </Stack>
    </Section>
  )
}

function Downloads({ name }: { name: string }) {
  const cache = useQueryClient()
  const mayOperate = useMay('operator')
  const [link, setLink] = useState<{ url: string; expiresAt: string }>()
  const [isBusy, setBusy] = useState(false)
  const line = link && `curl -f ${link.url} | gunzip | dd of=/dev/sdX bs=1M conv=fsync`

  async function create(): Promise<void> {
    setBusy(true)
    try {
      setLink(await createLink(name))
      await cache.invalidateQueries({ queryKey: keys.image(name) })
    } catch (error) {
      showError(error)
    } finally {
      setBusy(false)
    }
  }

  return (
    <>
      <Group gap="xs">
        <Button
          component="a"
          href={`/images/${name}.img.gz`}
          download
          variant="default"
          size="xs"
          leftSection={<IconDownload size={14} aria-hidden />}
          mih={30}
          h="auto"
          maw="100%"
          py={4}
          styles={{ label: { whiteSpace: 'normal', overflowWrap: 'anywhere', lineHeight: 1.4 } }} // of 128 characters
        >
          Download {name}.img.gz
        </Button>
        <Menu position="bottom-start">
          <Menu.Target>
            <Button
              variant="default"
              size="xs"
              rightSection={<IconChevronDown size={14} aria-hidden />}
            >
              As another file
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {OTHER_FILES.map(({ suffix, what }) => (
              <Menu.Item key={suffix} component="a" href={`/images/${name}${suffix}`} download>
                {suffix}
                <Text size="xs" c="dimmed">
                  {what}
                </Text>
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
        {mayOperate && (
          <BusyButton
            variant="default"
            size="xs"
            isBusy={isBusy}
            leftSection={<IconLink size={14} aria-hidden />}
            onClick={() => void create()}
          >
            Make a link for curl
          </BusyButton>
        )}
      </Group>
      {link && line && (
        <>
          <Group gap={4} wrap="nowrap" align="flex-start" w="100%">
            <Code block style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', flex: 1 }}>
              {line}
            </Code>
            <CopyButton text={line} what="the line" />
          </Group>
          <Text size="sm" c="dimmed">
            Whoever has the link can read the image. It ends <RelativeTime at={link.expiresAt} />.
            The line erases the disk that you put in place of /dev/sdX, and checks nothing of it.
          </Text>
        </>
      )}
    </>
  )
}
