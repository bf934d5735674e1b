import { Button, Menu } from '@mantine/core'
import {
  IconCamera,
  IconChevronDown,
  IconClipboardList,
  IconEraser,
  IconLock,
  IconLockOpen,
  IconRocket,
  IconShieldCheck,
} from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { showError } from '../components/show.ts'
import { planPath } from '../plan/plan-query.ts'
import { startLook } from '../runs/run-queries.ts'
import { saveMachine } from './machine-queries.ts'

/** What may be done with the machine now, the likeliest first. */
export function MachineActions({ machine }: { machine: Machine }) {
  const mayOperate = useMay('operator')
  const navigate = useNavigate()
  if (!mayOperate) return null
  const { mac, image = '' } = machine
  const addressOf = (workflow: 'deploy' | 'capture') =>
    planPath({ workflow, macs: [mac], image: workflow === 'deploy' ? image : '' })

  function look(workflow: 'inventory' | 'verify'): void {
    startLook(mac, workflow)
      .then((run) => navigate(`/runs/${run.id}`))
      .catch((error: unknown) => showError(error, 'No run was started'))
  }

  if (machine.run)
    return (
      <Button component={Link} to={`/runs/${machine.run.id}`}>
        To its run
      </Button>
    )
  return (
    <>
      {!machine.locked && (
        <>
          <Button
            component={Link}
            to={addressOf('deploy')}
            leftSection={<IconRocket size={16} aria-hidden />}
          >
            Deploy
          </Button>
          <Button
            component={Link}
            to={addressOf('capture')}
            variant="default"
            leftSection={<IconCamera size={16} aria-hidden />}
          >
            Capture
          </Button>
        </>
      )}
      <LockButton machine={machine} />
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" rightSection={<IconChevronDown size={16} aria-hidden />}>
            More
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<IconClipboardList size={16} aria-hidden />}
            onClick={() => look('inventory')}
          >
            Take inventory
          </Menu.Item>
          <Menu.Item
            leftSection={<IconShieldCheck size={16} aria-hidden />}
            onClick={() => look('verify')}
          >
            Verify the disk
          </Menu.Item>
          {!machine.locked && (
            <Menu.Item
              component={Link}
              to={planPath({ workflow: 'wipe', macs: [mac] })}
              leftSection={<IconEraser size={16} aria-hidden />}
              color="var(--mantine-color-error)"
            >
              Wipe a disk …
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </>
  )
}

function LockButton({ machine }: { machine: Machine }) {
  const cache = useQueryClient()
  const { mac, locked } = machine
  const [isBusy, setBusy] = useState(false)
  function change(): void {
    setBusy(true)
    saveMachine(mac, { locked: !locked }, null)
      .then((saved) => cache.setQueryData<Machine>(keys.machine(mac), saved))
      .catch((error: unknown) => showError(error))
      .finally(() => setBusy(false))
  }
  const Icon = locked ? IconLockOpen : IconLock
  return (
    <BusyButton
      variant="default"
      leftSection={<Icon size={16} aria-hidden />}
      isBusy={isBusy}
      onClick={change}
    >
      {locked ? 'Unlock' : 'Lock'}
    </BusyButton>
  )
}
