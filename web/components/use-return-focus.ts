import { useEffect, useState } from 'react'
import { hasNoFocus, returnFocus, whereOnPage } from './lost-focus.ts'

/**
 * Gives the focus back to what opened a dialog, when the dialog is gone. (Mantine does so only for one that
 * was there before it was opened, and not if its opener went meanwhile.)
 */
export function useReturnFocus(): void {
  const [opener] = useState(whereOnPage)
  useEffect(
    () => () => {
      if (hasNoFocus()) returnFocus(opener)
    },
    [opener],
  )
}
