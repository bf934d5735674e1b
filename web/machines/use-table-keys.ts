import type { KeyboardEvent } from 'react'

export interface TableKeys {
  /** The row that the keys are about; -1: none yet. */
  active: number
  count: number
  pageRows: number
  setActive: (row: number, extend: boolean) => void
  toggle: (row: number) => void
  open: (row: number) => void
  toggleAll: () => void
  clear: () => void
}

/** The keyboard of the table, as the ARIA grid pattern has it: one stop for Tab, arrows within. */
export function onTableKey(event: KeyboardEvent, keys: TableKeys): void {
  // A button or box within the table answers for itself.
  if (event.target !== event.currentTarget || event.altKey) return
  if (handleKey(event, keys)) event.preventDefault()
}

function handleKey({ key, shiftKey, ctrlKey, metaKey }: KeyboardEvent, keys: TableKeys): boolean {
  const { active, count, pageRows } = keys
  const go = (row: number) => {
    if (count > 0) keys.setActive(Math.max(0, Math.min(count - 1, row)), shiftKey)
    return true
  }
  if (ctrlKey || metaKey) {
    if (key !== 'a') return false
    keys.toggleAll()
    return true
  }
  switch (key) {
    case 'ArrowDown':
      return go(active + 1)
    case 'ArrowUp':
      return go(active - 1)
    case 'PageDown':
      return go(active + pageRows)
    case 'PageUp':
      return go(active - pageRows)
    case 'Home':
      return go(0)
    case 'End':
      return go(count - 1)
    case ' ':
      if (active >= 0) keys.toggle(active)
      return true
    case 'Enter':
      if (active >= 0) keys.open(active)
      return true
    case 'Escape':
      keys.clear()
      return true
    default:
      return false
  }
}
