import { Button } from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconBan, IconPrinter, IconRefresh } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Run } from '#protocol/run/run.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { showError } from '../components/show.ts'
import { machineQuery } from '../machine/machine-queries.ts'
import { retryAddress } from './retry.ts'
import { cancelRun, startLook } from './run-queries.ts'
import { isActive } from './run-words.ts'

/** What may be done with a run now. */
export function RunActions({ run, machineName }: { run: Run; machineName: string }) {
  const mayOperate = useMay('operator')
  return (
    <>
      {run.receipt && (
        <Button
          component={Link}
          to={`/runs/${run.id}/receipt`}
          variant="default"
          leftSection={<IconPrinter size={16} aria-hidden />}
        >
          Receipt
        </Button>
      )}
      {mayOperate && isActive(run) && <CancelButton run={run} machineName={machineName} />}
      {mayOperate && !isActive(run) && <RetryButton run={run} />}
    </>
  )
}

function CancelButton({ run, machineName }: { run: Run; machineName: string }) {
  const cache = useQueryClient()
  function ask(): void {
    modals.openConfirmModal({
      title: `Cancel the run on ${machineName}?`,
      children: cancelText(run),
      labels: { confirm: 'Cancel the run', cancel: 'Let it go on' },
      confirmProps: { color: 'red' },
      onConfirm: () => {
        cancelRun(run.id)
          .then((changed) =>
            cache.setQueryData<Run>(keys.run(run.id), (known) => known && { ...known, ...changed }),
          )
          .catch((error: unknown) => showError(error, 'The run was not cancelled'))
      },
    })
  }
  return (
    <BusyButton
      variant="default"
      leftSection={<IconBan size={16} aria-hidden />}
      onClick={ask}
      isOff={run.cancelRequested}
    >
      {run.cancelRequested ? 'Cancelling …' : 'Cancel'}
    </BusyButton>
  )
}

/** What is lost by stopping now. */
export function cancelText({ state, workflow }: Pick<Run, 'state' | 'workflow'>): string {
  if (state !== 'running') return 'Nothing was written yet, and nothing will be.'
  if (workflow === 'deploy' || workflow === 'wipe')
    return 'It stops at the next report of the agent. A disk that is half written does not boot: it needs another deploy.'
  return 'It stops at the next report of the agent. Nothing was written to the disk.'
}

/** Another image than the disk should hold was named, and is again. */
function lookAgain(run: Run, machine: Machine | undefined): Promise<Run> {
  if (run.workflow !== 'verify') return startLook(run.mac, 'inventory')
  const isNamed = machine !== undefined && machine.imageDigest !== run.imageDigest
  return startLook(run.mac, 'verify', isNamed ? (run.image ?? undefined) : undefined)
}

function RetryButton({ run }: { run: Run }) {
  const navigate = useNavigate()
  const { data: machine } = useQuery(machineQuery(run.mac))
  const [isStarting, setStarting] = useState(false)
  const address = retryAddress([run])
  const label = run.state === 'succeeded' ? 'Run again' : 'Retry'

  async function again(): Promise<void> {
    setStarting(true)
    try {
      const { id } = await lookAgain(run, machine)
      await navigate(`/runs/${id}`)
    } catch (error) {
      showError(error, 'No run was started')
    } finally {
      setStarting(false)
    }
  }

  if (address !== undefined) {
    return (
      <Button
        component={Link}
        to={address}
        leftSection={<IconRefresh size={16} aria-hidden />}
        variant={run.state === 'succeeded' ? 'default' : 'filled'}
      >
        {label}
      </Button>
    )
  }
  return (
    <BusyButton
      variant="default"
      leftSection={<IconRefresh size={16} aria-hidden />}
      isBusy={isStarting}
      onClick={() => void again()}
    >
      {label}
    </BusyButton>
  )
}
