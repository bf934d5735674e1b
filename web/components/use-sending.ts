import { useEffect, useRef, useState } from 'react'
import { showError } from './show.ts'

interface Sending {
  isBusy: boolean
  /** What was thrown the last time. */
  error: unknown
  send: () => Promise<void>
}

/**
 * What a dialog does, once at a time, and not again after it was done. The dialog may be closed meanwhile:
 * the work goes on, and a failure is then told on the page.
 */
export function useSending(work: () => Promise<void>, onDone: () => void): Sending {
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const isOpen = useIsMounted()

  async function send(): Promise<void> {
    if (isBusy) return
    setBusy(true)
    setError(undefined)
    try {
      await work()
      // Else it would close what was opened since. It stays busy: a dialog takes a while to vanish.
      if (isOpen.current) onDone()
    } catch (thrown) {
      if (!isOpen.current) return showError(thrown)
      setError(thrown)
      setBusy(false)
    }
  }

  return { isBusy, error, send }
}

function useIsMounted(): { readonly current: boolean } {
  const isMounted = useRef(true)
  useEffect(() => {
    isMounted.current = true
    return () => {
      isMounted.current = false
    }
  }, [])
  return isMounted
}
