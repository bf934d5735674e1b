import { ActionIcon, Button, Group, Menu, Text, Tooltip } from '@mantine/core'
import {
  IconCamera,
  IconDisc,
  IconDots,
  IconLock,
  IconLockOpen,
  IconRocket,
  IconTag,
  IconTrash,
  IconX,
} from '@tabler/icons-react'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { useMay } from '../api/session.ts'
import { countOf } from '../components/format.ts'
import { showError } from '../components/show.ts'
import { planPath } from '../plan/plan-query.ts'
import { AssignImage } from './AssignImage.tsx'
import { changeMachines, describeSelection, type BulkChange } from './bulk.ts'
import { DeleteMachines } from './DeleteMachines.tsx'
import { EditTags } from './EditTags.tsx'
import classes from './machines.module.css'
import { showOutcome } from './show-outcome.ts'

interface BulkBarProps {
  machines: Machine[]
  /** Selected but hidden by a filter. */
  hidden: number
  onClear: () => void
}

type Dialog = 'image' | 'tags' | 'delete'

/** What can be done with the selected machines. */
export function BulkBar({ machines, hidden, onClear }: BulkBarProps) {
  const [dialog, setDialog] = useState<Dialog>()
  const navigate = useNavigate()
  const isAdmin = useMay('admin')
  const macs = machines.map(({ mac }) => mac)
  const { areAllLocked } = describeSelection(machines)
  const plan = (workflow: 'deploy' | 'capture' | 'wipe') =>
    void navigate(planPath({ workflow, macs }))

  async function change(set: BulkChange, done: string): Promise<void> {
    try {
      showOutcome(await changeMachines(macs, set), done)
    } catch (error) {
      showError(error)
    }
  }

  const close = () => setDialog(undefined)
  return (
    <div className={classes.bulk} role="region" aria-label="Selected machines">
      <Group gap="xs" justify="space-between">
        <Group gap={4} wrap="nowrap">
          <Tooltip label="Select none (Esc)">
            <ActionIcon variant="subtle" color="gray" aria-label="Select none" onClick={onClear}>
              <IconX size={16} />
            </ActionIcon>
          </Tooltip>
          <Text size="sm" fw={600} role="status">
            {countOf(machines.length, 'machine')} selected
            {hidden > 0 && ` (${hidden} not shown)`}
          </Text>
        </Group>
        <Group gap="xs">
          <Button
            size="xs"
            leftSection={<IconRocket size={16} aria-hidden />}
            onClick={() => plan('deploy')}
          >
            Deploy…
          </Button>
          <Button
            size="xs"
            variant="default"
            leftSection={<IconDisc size={16} aria-hidden />}
            onClick={() => setDialog('image')}
          >
            Assign image…
          </Button>
          <Button
            size="xs"
            variant="default"
            leftSection={<IconTag size={16} aria-hidden />}
            onClick={() => setDialog('tags')}
          >
            Tags…
          </Button>
          <Menu position="top-end" withinPortal>
            <Menu.Target>
              <ActionIcon variant="default" size={30} aria-label="More for the selected machines">
                <IconDots size={16} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                leftSection={<IconCamera size={16} aria-hidden />}
                disabled={machines.length !== 1}
                onClick={() => plan('capture')}
              >
                Capture…{machines.length !== 1 && ' (one at a time)'}
              </Menu.Item>
              {areAllLocked ? (
                <Menu.Item
                  leftSection={<IconLockOpen size={16} aria-hidden />}
                  onClick={() => void change({ locked: false }, 'unlocked')}
                >
                  Unlock
                </Menu.Item>
              ) : (
                <Menu.Item
                  leftSection={<IconLock size={16} aria-hidden />}
                  onClick={() => void change({ locked: true }, 'locked')}
                >
                  Lock
                </Menu.Item>
              )}
              <Menu.Divider />
              <Menu.Item
                color="var(--mantine-color-error)"
                leftSection={<IconTrash size={16} aria-hidden />}
                onClick={() => setDialog('delete')}
                disabled={!isAdmin}
              >
                Delete…{!isAdmin && ' (administrators only)'}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </Group>
      </Group>
      <AssignImage opened={dialog === 'image'} onClose={close} machines={machines} />
      <EditTags opened={dialog === 'tags'} onClose={close} machines={machines} />
      <DeleteMachines opened={dialog === 'delete'} onClose={close} machines={machines} />
    </div>
  )
}
