/**
 * A key that is held down presses a button once: otherwise what opens a form also sends it, because the
 * focus is in the form by the time the key repeats. In text of several lines, Enter may repeat.
 */
export function pressOnceWhileHeld(): void {
  document.addEventListener(
    'keydown',
    (event) => {
      const isText = event.target instanceof HTMLTextAreaElement
      if (event.key === 'Enter' && event.repeat && !isText) event.preventDefault()
    },
    { capture: true },
  )
}
