/** Parts of a page that have a name. */
const PLACES = 'section, [role="region"]'
/** They give the focus back themselves: see `useReturnFocus`, and Mantine's menus and lists. */
const OVER_THE_PAGE = '[role="dialog"], [role="menu"], [role="listbox"]'

/** An element and what it is in, innermost first; all of it may be gone from the page since. */
export type Whereabouts = readonly Element[]

let lastFocused: Whereabouts = []
let lastOnPage: Whereabouts = []

/**
 * Whoever uses the keyboard stays where they were when what had the focus is gone, such as a button that
 * cancels what has ended. Without it, the focus falls to the body and a screen reader is nowhere.
 */
export function followLostFocus(): void {
  document.addEventListener('focusin', ({ target }) => {
    if (!(target instanceof Element)) return
    lastFocused = whereaboutsOf(target)
    if (!target.closest(OVER_THE_PAGE)) lastOnPage = lastFocused
  })
  document.addEventListener('focusout', ({ target }) => {
    // After it was removed, if it was: whoever leaves what is still there meant to.
    requestAnimationFrame(() => {
      if (hasNoFocus() && target instanceof Element && target.isConnected) lastFocused = []
    })
  })
  new MutationObserver(() => {
    const [last] = lastFocused
    if (!last || last.isConnected || !hasNoFocus()) return
    if (lastFocused.some((element) => element.matches(OVER_THE_PAGE))) return
    // Beside any part of the page, the browser goes on from where the element was.
    focusPlace(placeAround(lastFocused))
  }).observe(document.body, { childList: true, subtree: true })
}

export function hasNoFocus(): boolean {
  return document.activeElement === null || document.activeElement === document.body
}

/** Where the keyboard is, or was before what lies over the page now. */
export function whereOnPage(): Whereabouts {
  return hasNoFocus() ? [] : lastOnPage
}

/** To the element itself if it can have the focus, else to the part of the page that it was in. */
export function returnFocus(whereabouts: Whereabouts): void {
  const [element] = whereabouts
  if (element instanceof HTMLElement && element.isConnected) element.focus({ preventScroll: true })
  if (!hasNoFocus()) return
  focusPlace(placeAround(whereabouts) ?? document.getElementById('page'))
}

function placeAround(whereabouts: Whereabouts): Element | undefined {
  return whereabouts.find((around) => around.isConnected && around.matches(PLACES))
}

function focusPlace(place: Element | null | undefined): void {
  if (!(place instanceof HTMLElement)) return
  if (!place.hasAttribute('tabindex')) place.tabIndex = -1
  place.focus({ preventScroll: true })
}

function whereaboutsOf(element: Element): Element[] {
  const found: Element[] = []
  for (let at: Element | null = element; at; at = at.parentElement) found.push(at)
  return found
}
