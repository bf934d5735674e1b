import { Alert, Fieldset, Group, SegmentedControl, Stack, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, type FormEvent } from 'react'
import { useNavigate } from 'react-router'
import { machinesQuery } from '../api/machines.ts'
import { keys } from '../api/keys.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { CaptureFields } from './CaptureFields.tsx'
import { DeployFields } from './DeployFields.tsx'
import { DiskField } from './DiskField.tsx'
import { MachinesField } from './MachinesField.tsx'
import { mistakesOf } from './plan-mistakes.ts'
import { createPlan } from './plan-queries.ts'
import { planPath, planRequest, type PlanDraft } from './plan-query.ts'

const WORKFLOWS = [
  { value: 'deploy', label: 'Deploy' },
  { value: 'capture', label: 'Capture' },
  { value: 'wipe', label: 'Wipe' },
]

const MEANINGS: Record<PlanDraft['workflow'], string> = {
  deploy: 'Writes an image to the disk of each machine. What is on that disk now is lost.',
  capture: 'Reads the disk of a machine and keeps it as an image. Nothing is written to it.',
  wipe: 'Erases the disk of each machine.',
}

/** What is to be done to which machines, and how. */
export function PlanForm({ initial }: { initial: PlanDraft }) {
  const [draft, setDraft] = useState(initial)
  const form = useRef<HTMLFormElement>(null)
  /** How often it was sent: what is missing is said from then on, and the first such field has the focus. */
  const [tries, setTries] = useState(0)
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const navigate = useNavigate()
  const cache = useQueryClient()
  const { data: machines = [] } = useQuery(machinesQuery)
  const mistakes = tries > 0 ? mistakesOf(draft) : {}
  const set = (changes: Partial<PlanDraft>) => setDraft((known) => ({ ...known, ...changes }))
  useEffect(() => {
    if (tries > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [tries])
  const locked = machines.filter((machine) => machine.locked && draft.macs.includes(machine.mac))

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setTries((before) => before + 1)
    if (Object.keys(mistakesOf(draft)).length > 0 || isBusy) return
    setBusy(true)
    setError(undefined)
    try {
      const plan = await createPlan(planRequest(draft))
      cache.setQueryData(keys.plan(plan.id), plan)
      // So that "back" comes back to what was chosen.
      await navigate(planPath(draft), { replace: true })
      await navigate(`/plan/${plan.id}`)
    } catch (thrown) {
      setError(thrown)
      setBusy(false)
    }
  }

  const fields = { draft, mistakes, set }
  return (
    <form ref={form} onSubmit={(event) => void submit(event)} noValidate>
      <Stack maw={760}>
        <div>
          <SegmentedControl
            aria-label="Workflow"
            data={WORKFLOWS}
            value={draft.workflow}
            onChange={(workflow) => set({ workflow: workflow as PlanDraft['workflow'] })}
            fullWidth
          />
          <Text size="sm" c="dimmed" mt={6}>
            {MEANINGS[draft.workflow]}
          </Text>
        </div>
        <MachinesField {...fields} machines={machines} />
        {locked.length > 0 && (
          <Alert color="yellow">
            {countOf(locked.length, 'machine')} of these {locked.length === 1 ? 'is' : 'are'} locked
            ({locked.map(({ name }) => name).join(', ')}): no run can start there.
          </Alert>
        )}
        {draft.workflow === 'deploy' && <DeployFields {...fields} machines={machines} />}
        {draft.workflow === 'capture' && <CaptureFields {...fields} />}
        {draft.macs.length === 1 && (
          <Fieldset legend="Disk">
            <DiskField {...fields} />
          </Fieldset>
        )}
        <ErrorAlert error={error} title="No plan could be made" />
        <Group>
          <BusyButton type="submit" isBusy={isBusy}>
            Show the plan
          </BusyButton>
          <Text size="sm" c="dimmed">
            Nothing starts yet.
          </Text>
        </Group>
      </Stack>
    </form>
  )
}
