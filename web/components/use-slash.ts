import { useHotkeys } from '@mantine/hooks'

/** The key that leads to a search; on German and French keyboards, among others, it is pressed with Shift. */
export function useSlash(search: () => void): void {
  useHotkeys([
    ['/', search],
    ['shift+/', search],
  ])
}
