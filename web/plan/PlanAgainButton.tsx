import { IconRefresh } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import type { PlanRequest } from '#protocol/run/plan.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { showError } from '../components/show.ts'
import { createPlan } from './plan-queries.ts'

/** Makes the same plan anew, from what is known now. */
export function PlanAgainButton({ request }: { request: PlanRequest }) {
  const mayOperate = useMay('operator')
  const [isBusy, setBusy] = useState(false)
  const navigate = useNavigate()
  const cache = useQueryClient()
  if (!mayOperate) return null

  async function again(): Promise<void> {
    setBusy(true)
    try {
      const plan = await createPlan(request)
      cache.setQueryData(keys.plan(plan.id), plan)
      await navigate(`/plan/${plan.id}`, { replace: true })
    } catch (error) {
      showError(error, 'No plan could be made')
    } finally {
      setBusy(false)
    }
  }

  return (
    <BusyButton
      leftSection={<IconRefresh size={16} aria-hidden />}
      isBusy={isBusy}
      onClick={() => void again()}
    >
      Plan again
    </BusyButton>
  )
}
