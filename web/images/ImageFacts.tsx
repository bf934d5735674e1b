import { Code, Group } from '@mantine/core'
import type { Image } from '#protocol/image/image-info.ts'
import { Bytes } from '../components/Bytes.tsx'
import { CopyButton } from '../components/CopyButton.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'

const DIGEST_SHOWN = 16

export function ImageFacts({ image }: { image: Image }) {
  const { info, digest, uniqueBytes, storedBytes, versionCount } = image
  return (
    <Section title="About it">
      <FactList
        facts={[
          ['Version', versionText(image)],
          ['System', info.operatingSystem ?? 'unknown'],
          ['Starts on', (info.bootModes ?? []).map((mode) => mode.toUpperCase()).join(', ')],
          ['Processor', info.architecture],
          ['Came from', info.source ?? image.fileName],
          ['Made', <RelativeTime key="made" at={image.createdAt} />],
          ['Disk', <Bytes key="disk" value={image.sizeBytes} />],
          ['Content', <Bytes key="content" value={image.contentBytes} />],
          ['Stored', <Bytes key="stored" value={storedBytes} />],
          [
            'Shared',
            uniqueBytes === null ? (
              'being counted'
            ) : (
              <span key="shared">
                <Bytes value={storedBytes - uniqueBytes} /> with other images
                {versionCount === 1 ? '; deleting frees ' : ' or versions; its own: '}
                <Bytes value={uniqueBytes} />
              </span>
            ),
          ],
          ['Sectors', `${image.sectorBytes} bytes`],
          [
            'Digest',
            <Group key="digest" gap={4} wrap="nowrap">
              <Code>{digest.slice(0, DIGEST_SHOWN)}…</Code>
              <CopyButton text={digest} what="the digest" />
            </Group>,
          ],
        ]}
      />
    </Section>
  )
}

function versionText({ version, versionCount, latestVersion }: Image): string {
  if (versionCount === 1) return String(version)
  if (version === latestVersion) return `${version}, the latest of ${versionCount}`
  return `${version}, of ${versionCount}; the latest is ${latestVersion}`
}
