import { Text } from '@mantine/core'

interface TransferTextProps {
  /** Bytes come or go: each figure would be read out. That it waits, or how it ended, is. */
  isMoving: boolean
  isFailed: boolean
  children: string
}

/** How an upload or a fetch stands. */
export function TransferText({ isMoving, isFailed, children }: TransferTextProps) {
  return (
    <Text
      size="sm"
      className="tabular"
      role="status"
      aria-live={isMoving ? 'off' : 'polite'}
      c={isFailed ? 'red' : 'dimmed'}
    >
      {children}
    </Text>
  )
}
