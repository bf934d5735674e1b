import { Anchor, Badge, Button, Group } from '@mantine/core'
import { IconPencil } from '@tabler/icons-react'
import { useState } from 'react'
import { Link } from 'react-router'
import { chooseDisk } from '#protocol/machine/disk-choice.ts'
import { imageNameOf } from '#protocol/image/image-reference.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { hostnameFrom } from '#protocol/names.ts'
import { useMay } from '../api/session.ts'
import { hintsText } from '../runs/RunOptionsList.tsx'
import { EditMachine } from './EditMachine.tsx'
import { FactList } from './FactList.tsx'
import { Section } from './Section.tsx'

/** What an operator decides about the machine. */
export function MachineSettings({ machine }: { machine: Machine }) {
  const mayOperate = useMay('operator')
  const [isEditing, setEditing] = useState(false)
  const { name, hostname, image, tags, disk, network, locked } = machine
  return (
    <Section
      title="Settings"
      actions={
        mayOperate && (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPencil size={14} aria-hidden />}
            onClick={() => setEditing(true)}
          >
            Edit
          </Button>
        )
      }
    >
      <FactList
        facts={[
          ['Name', name],
          ['Hostname', hostname ?? hostnameText(name)],
          ['Image', image === undefined ? 'none assigned' : <ImageLink key="image" name={image} />],
          ['Network', network ? networkText(network) : 'by DHCP'],
          ['Disk', disk ? hintsText(disk) : defaultDiskText(machine)],
          ['Tags', tags.length > 0 ? <Tags key="tags" tags={tags} /> : 'none'],
          ['Lock', locked ? 'locked: no run may work on it' : 'not locked'],
        ]}
      />
      {isEditing && <EditMachine mac={machine.mac} onClose={() => setEditing(false)} />}
    </Section>
  )
}

function ImageLink({ name }: { name: string }) {
  return (
    <Anchor component={Link} to={`/images/${imageNameOf(name)}`} inherit>
      {name}
    </Anchor>
  )
}

function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <Group gap={4}>
      {tags.map((tag) => (
        <Badge
          key={tag}
          component={Link}
          to={`/machines?tag=${encodeURIComponent(tag)}`}
          variant="default"
          tt="none"
          fw={500}
          style={{ cursor: 'pointer' }}
        >
          {tag}
        </Badge>
      ))}
    </Group>
  )
}

/** What a run without a hint would choose. */
function defaultDiskText({ inventory }: Machine): string {
  if (!inventory) return 'the only candidate'
  const choice = chooseDisk(inventory.disks, undefined)
  if (choice.kind === 'chosen') return `the only candidate, ${choice.disk.path}`
  return inventory.disks.length > 1
    ? 'none chosen, and there are several: runs are refused until one is named'
    : 'no candidate'
}

function networkText({ address, gateway, nameservers }: NonNullable<Machine['network']>): string {
  const parts = [
    address,
    gateway && `gateway ${gateway}`,
    nameservers && `DNS ${nameservers.join(', ')}`,
  ]
  return parts.filter(Boolean).join(', ')
}

/** A deploy writes it into the system. */
function hostnameText(name: string): string {
  const hostname = hostnameFrom(name)
  if (hostname === undefined) return 'as in the image'
  return `${hostname} (${hostname === name ? 'its name' : 'from its name'})`
}
