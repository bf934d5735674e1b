import type { PlanMistakes } from './plan-mistakes.ts'
import type { PlanDraft } from './plan-query.ts'

/** What every part of the form gets. */
export interface PlanFieldsProps {
  draft: PlanDraft
  mistakes: PlanMistakes
  set: (changes: Partial<PlanDraft>) => void
}
