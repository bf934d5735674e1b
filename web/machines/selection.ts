/** Which machines are selected, and where a range would begin. */
export interface Selection {
  macs: ReadonlySet<string>
  /** The last one that was clicked. */
  anchor: string | undefined
}

export const NOTHING_SELECTED: Selection = { macs: new Set(), anchor: undefined }

export function toggle({ macs }: Selection, mac: string): Selection {
  const changed = new Set(macs)
  if (!changed.delete(mac)) changed.add(mac)
  return { macs: changed, anchor: mac }
}

/** Adds all from the anchor to `mac`, in the order in which they are shown. */
export function extendTo(selection: Selection, mac: string, shown: readonly string[]): Selection {
  const from = selection.anchor === undefined ? -1 : shown.indexOf(selection.anchor)
  const to = shown.indexOf(mac)
  if (from < 0 || to < 0) return toggle(selection, mac)
  const range = shown.slice(Math.min(from, to), Math.max(from, to) + 1)
  return { macs: new Set([...selection.macs, ...range]), anchor: selection.anchor }
}

/** All that are shown, or none of them if all are selected. */
export function toggleAll({ macs }: Selection, shown: readonly string[]): Selection {
  const areAll = shown.every((mac) => macs.has(mac))
  const changed = new Set(macs)
  for (const mac of shown) {
    if (areAll) changed.delete(mac)
    else changed.add(mac)
  }
  return { macs: changed, anchor: undefined }
}

/** Machines that are gone cannot stay selected. */
export function onlyKnown(selection: Selection, known: ReadonlySet<string>): Selection {
  const macs = [...selection.macs].filter((mac) => known.has(mac))
  if (macs.length === selection.macs.size) return selection
  return { macs: new Set(macs), anchor: selection.anchor }
}
