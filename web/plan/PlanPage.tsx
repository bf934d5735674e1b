import { useSearchParams } from 'react-router'
import { useMay } from '../api/session.ts'
import { PageTitle } from '../components/PageTitle.tsx'
import { Text } from '@mantine/core'
import { parsePlanDraft } from './plan-query.ts'
import { PlanForm } from './PlanForm.tsx'

/** What is to be done to which machines; the plan itself comes on a page of its own. */
export function PlanPage() {
  const [query] = useSearchParams()
  const mayOperate = useMay('operator')
  return (
    <>
      <PageTitle
        title="Plan runs"
        back={{ to: '/machines', label: 'Machines' }}
        subtitle="Nothing starts here: first the plan says what would happen to which disk."
      />
      {mayOperate ? (
        <PlanForm key={query.toString()} initial={parsePlanDraft(query)} />
      ) : (
        <Text>Your account may look at machines and runs, but not plan or start any.</Text>
      )}
    </>
  )
}
