import { useEffect, useMemo, useState } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { extendTo, NOTHING_SELECTED, onlyKnown, toggle, toggleAll } from './selection.ts'

export interface SelectionActions {
  macs: ReadonlySet<string>
  toggle: (mac: string) => void
  /** From the last one that was toggled to this one, as they are shown. */
  extend: (mac: string) => void
  toggleAll: () => void
  clear: () => void
}

/** Selected machines. They stay selected while a filter hides them, and the bar says how many. */
export function useSelection(all: Machine[] | undefined, shown: Machine[]): SelectionActions {
  const [selection, setSelection] = useState(NOTHING_SELECTED)
  const known = useMemo(() => new Set(all?.map(({ mac }) => mac)), [all])
  useEffect(() => {
    if (all) setSelection((before) => onlyKnown(before, known))
  }, [all, known])
  const shownMacs = useMemo(() => shown.map(({ mac }) => mac), [shown])
  // The same functions as long as the same machines are shown: rows render anew only if need be.
  const order = shownMacs.join()
  const actions = useMemo(() => {
    const macs = order === '' ? [] : order.split(',')
    return {
      toggle: (mac: string) => setSelection((before) => toggle(before, mac)),
      extend: (mac: string) => setSelection((before) => extendTo(before, mac, macs)),
      toggleAll: () => setSelection((before) => toggleAll(before, macs)),
      clear: () => setSelection(NOTHING_SELECTED),
    }
  }, [order])
  return { macs: selection.macs, ...actions }
}
