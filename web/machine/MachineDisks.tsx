import { Badge, Group, Stack, Table, Text } from '@mantine/core'
import type { Disk, Partition } from '#protocol/machine/inventory.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { DiskBar } from '../components/DiskBar.tsx'
import { formatBytes } from '../components/format.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { drawnPartition } from './drawn-partition.ts'

/** Each disk to scale, with what the last inventory found on it. */
export function MachineDisks({ machine: { inventory } }: { machine: Machine }) {
  if (!inventory)
    return (
      <Text size="sm" c="dimmed">
        Not known yet: disks are read by an inventory, which a machine gives when it boots from the
        network.
      </Text>
    )
  if (inventory.disks.length === 0)
    return (
      <Text size="sm">No disk was found: a driver may be missing, or a controller is off.</Text>
    )
  return (
    <Stack gap="lg">
      <Text size="xs" c="dimmed">
        As of <RelativeTime at={inventory.at} />
      </Text>
      {inventory.disks.map((disk) => (
        <DiskCard key={disk.path} disk={disk} />
      ))}
    </Stack>
  )
}

function DiskCard({ disk }: { disk: Disk }) {
  return (
    <Stack gap={6}>
      <Group justify="space-between" gap="xs">
        <Group gap="xs">
          <Text fw={600}>{diskTitle(disk)}</Text>
          <Text size="sm" c="dimmed">
            {formatBytes(disk.sizeBytes)}
          </Text>
        </Group>
        <Group gap={6}>
          {diskMarks(disk).map((mark) => (
            <Badge key={mark} variant="default" tt="none" fw={500}>
              {mark}
            </Badge>
          ))}
        </Group>
      </Group>
      <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
        {[
          disk.path,
          disk.serial && `serial ${disk.serial}`,
          disk.wwn && `WWN ${disk.wwn}`,
          `sectors of ${disk.sectorBytes} bytes`,
          tableText(disk),
        ]
          .filter(Boolean)
          .join(' · ')}
      </Text>
      <DiskBar
        sizeBytes={disk.sizeBytes}
        partitions={disk.partitions.map(drawnPartition)}
        fileSystem={disk.fileSystem?.type}
        isKnown={disk.layoutError === undefined}
        label={`Disk ${disk.path}`}
      />
      {disk.partitions.length > 0 && <PartitionTable partitions={disk.partitions} />}
      {disk.layoutError !== undefined && (
        <Text size="sm">What is on it is not known: {disk.layoutError}</Text>
      )}
      {disk.busy !== undefined && <Text size="sm">In use: {disk.busy}</Text>}
    </Stack>
  )
}

export function diskTitle({ vendor, model, path }: Disk): string {
  const name = [vendor, model].filter(Boolean).join(' ')
  return name || path
}

function diskMarks({ transport, rotational, removable, readOnly }: Disk): string[] {
  return [
    transport?.toUpperCase() ?? '',
    rotational ? 'hard disk' : 'SSD',
    removable ? 'removable' : '',
    readOnly ? 'read-only' : '',
  ].filter((mark) => mark !== '')
}

function tableText({ partitionTable, partitions, layoutError }: Disk): string | undefined {
  const count = partitions.length === 1 ? '1 partition' : `${partitions.length} partitions`
  switch (partitionTable.type) {
    case 'none':
      return layoutError === undefined ? 'no partition table' : undefined
    case 'gpt':
      return `GPT, ${count}`
    case 'mbr':
      return `MBR, ${count}`
  }
}

function PartitionTable({ partitions }: { partitions: readonly Partition[] }) {
  return (
    <Table verticalSpacing={4} fz="sm">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Partition</Table.Th>
          <Table.Th>File system</Table.Th>
          <Table.Th visibleFrom="xs">Label</Table.Th>
          <Table.Th ta="right">Size</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {partitions.map((partition) => (
          <Table.Tr key={partition.number}>
            <Table.Td>{partition.path}</Table.Td>
            <Table.Td>{partition.fileSystem?.type ?? '–'}</Table.Td>
            <Table.Td visibleFrom="xs">
              {partition.fileSystem?.label ?? partition.name ?? '–'}
            </Table.Td>
            <Table.Td ta="right" className="tabular">
              {formatBytes(partition.sizeBytes)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}
