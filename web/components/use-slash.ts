import { useHotkeys } from '@mantine/hooks'

/** The key that leads to a search; on German and French keyboards, among others, it is pressed with Shift. */
export function useSlash(search: () => void): void {
  function go(): void {
    // Behind a dialog nobody would see it.
    if (!document.querySelector('[aria-modal="true"]')) search()
  }
  useHotkeys([
    ['/', go],
    ['shift+/', go],
  ])
}
