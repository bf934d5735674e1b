import { Button } from '@mantine/core'
import { useMay } from '../api/session.ts'
import { useCare } from './use-care.ts'

interface CareButtonProps<Result> {
  label: string
  care: () => Promise<Result>
  /** What is said when that was done. */
  done?: (result: Result) => string
  isDisabled?: boolean
}

/** What an admin may have done to the store; for others it is not there. */
export function CareButton<Result>({ label, care, done, isDisabled }: CareButtonProps<Result>) {
  const mayAdminister = useMay('admin')
  const caring = useCare(care, done)
  if (!mayAdminister) return undefined
  return (
    <Button
      size="xs"
      variant="default"
      loading={caring.isPending}
      disabled={isDisabled}
      onClick={() => caring.mutate()}
    >
      {label}
    </Button>
  )
}
