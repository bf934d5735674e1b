import type { Locator, Page } from 'playwright-core'

/** More stops than any page of ours has on the way to anything. */
const MOST_STOPS = 80
/** As often as a key repeats while a form opens and is sent. */
const REPEATS = 12
const REPEAT_MILLISECONDS = 40

/** Presses `key` until `wanted` has the focus, as somebody without a mouse has to. */
export async function goTo(
  page: Page,
  wanted: Locator,
  key: 'Tab' | 'Shift+Tab' | 'ArrowDown' | '/' = 'Tab',
): Promise<void> {
  await wanted.waitFor()
  for (let stop = 0; stop < MOST_STOPS; stop++) {
    if (await hasFocus(wanted)) return
    await page.keyboard.press(key)
  }
  throw new Error(`${key} does not reach ${wanted.toString()}`)
}

export async function press(page: Page, wanted: Locator): Promise<void> {
  await goTo(page, wanted)
  await page.keyboard.press('Enter')
}

export function hasFocus(wanted: Locator): Promise<boolean> {
  return wanted.evaluate((element) => element === document.activeElement)
}

/** Where a dialog or a list puts it, or gives it back to: not at once. */
export async function untilFocused(wanted: Locator): Promise<void> {
  const element = await wanted.elementHandle()
  await wanted.page().waitForFunction((known) => known === document.activeElement, element)
}

/** Enter, kept down for half a second. */
export async function holdEnter(page: Page): Promise<void> {
  for (let repeat = 0; repeat <= REPEATS; repeat++) {
    await page.keyboard.down('Enter')
    await page.waitForTimeout(REPEAT_MILLISECONDS)
  }
  await page.keyboard.up('Enter')
}

/** What the page asks the server to change, from now on: `POST /api/runs`. */
export function watchChanges(page: Page): string[] {
  const changes: string[] = []
  page.on('request', (request) => {
    const method = request.method()
    if (method !== 'GET' && method !== 'HEAD')
      changes.push(`${method} ${new URL(request.url()).pathname}`)
  })
  return changes
}
