import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { OPERATOR } from '#test/support/seeded-app.ts'

/**
 * Debian's Chromium without the windows of a browser, which are a quarter of its work. It asks nobody
 * but the server under test.
 */
export const CHROMIUM = '/usr/bin/chromium-headless-shell'
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** On a busy machine; it costs only where something is wrong. */
const WAIT_MILLISECONDS = 90_000
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Phone, small window, wide screen. */
export const WIDTHS = [390, 1024, 1600] as const
export const COLOR_SCHEMES = ['light', 'dark'] as const

export interface TestBrowser extends AsyncDisposable {
  browser: Browser
  /** A page of its own context; what it logs as an error, or throws, fails `assertQuiet`. */
  open: (options?: Parameters<Browser['newContext']>[0]) => Promise<TestPage>
}

export interface TestPage {
  page: Page
  context: BrowserContext
  /** Throws what went wrong in the page so far. */
  assertQuiet: () => void
}

/** `executablePath`: a program that starts CHROMIUM with all arguments it gets. */
export async function openBrowser(executablePath = CHROMIUM): Promise<TestBrowser> {
  const browser = await chromium.launch({
    executablePath,
    args: ARGUMENTS,
    timeout: WAIT_MILLISECONDS,
  })
  return {
    browser,
    open: (options) => openPage(browser, options),
    [Symbol.asyncDispose]: () => browser.close(),
  }
}

async function openPage(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0],
): Promise<TestPage> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(WAIT_MILLISECONDS)
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => {
    const text = message.text()
    // What a refused call prints by itself; the page says it in its own words.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource'))
      problems.push(text)
  })
  return { page, context, assertQuiet: () => assert.deepEqual(problems, []) }
}

export async function signIn(page: Page, url: string, user = OPERATOR): Promise<void> {
  await page.goto(`${url}/login`)
  await page.getByLabel('Name').fill(user.name)
  await page.getByLabel('Password', { exact: true }).fill(user.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL((address) => address.pathname !== '/login')
}

/** Throws what axe finds, in words. */
export async function assertAccessible(page: Page): Promise<void> {
  // What fades in has other colours on its way; what goes round for ever is not waited for.
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every(
        ({ playState, effect }) =>
          playState !== 'running' || effect?.getComputedTiming().endTime === Infinity,
      ),
  )
  // Half a megabyte of source, which stays until the page is left.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE)
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run: (root: Document) => Promise<{ violations: Violation[] }> }
    }
    const { violations } = await axe.run(document)
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`,
    )
  })
  assert.deepEqual(found, [])
}

interface Violation {
  id: string
  nodes: { target: string[] }[]
}

/** The page learns of it in its next frame, which another tab in front may keep it from for a while. */
export async function chooseColors(
  page: Page,
  colorScheme: (typeof COLOR_SCHEMES)[number],
): Promise<void> {
  await page.emulateMedia({ colorScheme })
  await page.locator(`html[data-mantine-color-scheme="${colorScheme}"]`).waitFor()
}

/** Sees that the page does not scroll sideways, and axe finds nothing, at each width and colour. */
export async function assertGoodLooks(page: Page): Promise<void> {
  for (const colorScheme of COLOR_SCHEMES)
    for (const width of WIDTHS) {
      await chooseColors(page, colorScheme)
      await page.setViewportSize({ width, height: 900 })
      await page
        .waitForFunction(() => document.documentElement.scrollWidth <= window.innerWidth)
        .catch((cause: unknown) => {
          throw new Error(`The page scrolls sideways at ${width} pixels`, { cause })
        })
      await assertAccessible(page)
    }
}
