import { List, Text } from '@mantine/core'
import type { Image } from '#protocol/image/image-info.ts'
import { DiskBar } from '../components/DiskBar.tsx'
import { countOf, formatBytes } from '../components/format.ts'
import { Section } from '../machine/Section.tsx'

const TABLES = { gpt: 'GPT', mbr: 'MBR', none: 'No partition table' } as const

/** What is on it, drawn to scale. */
export function ImageLayout({ image: { name, sizeBytes, contentBytes, info } }: { image: Image }) {
  const { partitionTable, partitions = [] } = info
  return (
    <Section title="Layout">
      <DiskBar
        sizeBytes={sizeBytes}
        partitions={partitions}
        label={`Image ${name}`}
        fileSystem={contentBytes > 0 ? 'Layout unknown' : undefined}
      />
      <Text size="sm" c="dimmed" mt="xs">
        {partitionTable === undefined ? 'No partition table was found' : TABLES[partitionTable]},{' '}
        {formatBytes(sizeBytes)}
        {partitions.length > 0 && `, ${countOf(partitions.length, 'partition')}`}
      </Text>
      <Notes title="Left out" notes={(info.leftOut ?? []).map(leftOutText)} />
      <Notes
        title="Captured with free space"
        notes={(info.copiedWhole ?? []).map(({ reason }) => reason)}
      />
    </Section>
  )
}

function Notes({ title, notes }: { title: string; notes: string[] }) {
  if (notes.length === 0) return null
  return (
    <>
      <Text size="sm" fw={500} mt="sm">
        {title}
      </Text>
      <List size="sm" spacing={2}>
        {notes.map((note) => (
          <List.Item key={note}>{note}</List.Item>
        ))}
      </List>
    </>
  )
}

type LeftOut = NonNullable<Image['info']['leftOut']>[number]

function leftOutText({ partition, what, bytes }: LeftOut): string {
  const place = partition === undefined ? '' : `Partition ${partition}: `
  return `${place}${what}, ${formatBytes(bytes)}`
}
