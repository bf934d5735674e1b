import { useMay } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { useCare } from './use-care.ts'

interface CareButtonProps<Result> {
  label: string
  care: () => Promise<Result>
  /** What is said when that was done. */
  done?: (result: Result) => string
  /** It is at work already. */
  isOff?: boolean
}

/** What an admin may have done to the store; for others it is not there. */
export function CareButton<Result>({ label, care, done, isOff }: CareButtonProps<Result>) {
  const mayAdminister = useMay('admin')
  const caring = useCare(care, done)
  if (!mayAdminister) return undefined
  return (
    <BusyButton
      size="xs"
      variant="default"
      isBusy={caring.isPending}
      isOff={isOff}
      onClick={() => caring.mutate()}
    >
      {label}
    </BusyButton>
  )
}
