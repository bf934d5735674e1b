import { Button, Loader, type ButtonProps } from '@mantine/core'
import type { MouseEvent } from 'react'

interface BusyButtonProps extends Omit<ButtonProps, 'loading' | 'disabled'> {
  type?: 'submit' | 'button'
  /** What was asked for goes on. */
  isBusy?: boolean
  /** There is nothing to be done now, but may be soon. */
  isOff?: boolean
  onClick?: () => void
}

/**
 * A button that keeps the focus while what it started goes on: one that is disabled meanwhile loses it,
 * and whoever pressed it by the keyboard is nowhere.
 */
export function BusyButton({ isBusy = false, isOff = false, onClick, ...rest }: BusyButtonProps) {
  const isIdle = !isBusy && !isOff
  function press(event: MouseEvent): void {
    if (isIdle) onClick?.()
    else event.preventDefault()
  }
  return (
    <Button
      type="button"
      {...rest}
      data-disabled={isIdle ? undefined : true}
      aria-disabled={isIdle ? undefined : true}
      leftSection={
        isBusy ? <Loader size={14} color="currentColor" aria-hidden /> : rest.leftSection
      }
      onClick={press}
    />
  )
}
