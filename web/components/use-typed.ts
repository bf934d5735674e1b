import { useDebouncedCallback } from '@mantine/hooks'
import { useEffect, useRef, useState } from 'react'

/** Between the last key and what it leads to. */
const PAUSE_MILLISECONDS = 120

/**
 * The text of a field whose `value` is kept elsewhere, such as in the address, and how it is changed.
 * That is too slow for somebody who types: what comes back from there may be older than what stands in
 * the field by then, and keys would be lost.
 */
export function useTyped(
  value: string,
  onTyped: (text: string) => void,
  pauseMilliseconds = PAUSE_MILLISECONDS,
): [string, (text: string) => void] {
  const [text, setText] = useState(value)
  /** Our own, on their way; the oldest first. */
  const sent = useRef<string[]>([])
  const send = useDebouncedCallback((next: string) => {
    if (next === (sent.current.at(-1) ?? value)) return
    sent.current.push(next)
    onTyped(next)
  }, pauseMilliseconds)
  useEffect(() => {
    const place = sent.current.indexOf(value)
    sent.current.splice(0, place + 1)
    if (place >= 0) return
    // From elsewhere: a link, the browser's "back", or "Show all".
    sent.current = []
    send.cancel()
    setText(value)
  }, [value])

  function type(next: string): void {
    setText(next)
    send(next)
  }

  return [text, type]
}
