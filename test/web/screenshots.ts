/**
 * The pictures of README and guide, taken of a real server with seeded data:
 * `node test/web/screenshots.ts [<names>]`.
 */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import type { Run } from '#protocol/run/run.ts'
import { advanceRuns, openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { openBrowser, signIn, type TestBrowser } from './browser.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../docs/screenshots')
const DESKTOP = { width: 1280, height: 800 }
/** A rate chart needs some reports. */
const REPORTS = 24
const REPORT_MILLISECONDS = 250

interface Picture {
  name: string
  /** Its address, or what leads to it. */
  open: (page: Page, app: SeededApp) => Promise<void>
  colorScheme?: 'dark'
  viewport?: typeof DESKTOP
}

const PICTURES: Picture[] = [
  { name: 'machines', open: (page) => show(page, '/machines', 'Machines') },
  { name: 'machine', open: (page) => show(page, '/machines/52:54:00:00:00:04', 'Inventory') },
  { name: 'plan', open: openPlan, viewport: { width: 1280, height: 640 } },
  { name: 'run', open: openRun },
  {
    name: 'fleet',
    open: (page) => show(page, '/runs/fleet', 'All at work'),
    colorScheme: 'dark',
  },
]

async function show(page: Page, address: string, heading: string): Promise<void> {
  await page.goto(new URL(address, page.url()).href)
  await page.getByRole('heading', { name: heading, exact: true }).first().waitFor()
}

async function openPlan(page: Page): Promise<void> {
  const query = 'workflow=deploy&macs=52:54:00:00:00:04&image=debian-13-server'
  await page.goto(new URL(`/plan?${query}`, page.url()).href)
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await page.getByRole('button', { name: 'Deploy …' }).waitFor()
}

async function openRun(page: Page, app: SeededApp): Promise<void> {
  const { body } = await app.call<{ items: Run[] }>('GET', '/api/runs?state=running&limit=50')
  const run = body.items.find(({ steps }) =>
    steps.some(({ name, state }) => name === 'write-image' && state === 'running'),
  )
  if (!run) throw new Error('No seeded run writes an image')
  await page.goto(new URL(`/runs/${run.id}`, page.url()).href)
  await page.getByRole('heading', { name: 'Steps' }).waitFor()
  const done = new Map<string, number>()
  for (let report = 0; report < REPORTS; report += 1) {
    await advanceRuns(app.database.db, done)
    await sleep(REPORT_MILLISECONDS)
  }
  await page.getByRole('region', { name: 'Rate' }).locator('svg').first().waitFor()
}

async function take(browser: TestBrowser, app: SeededApp, picture: Picture): Promise<void> {
  const { name, open, colorScheme = 'light', viewport = DESKTOP } = picture
  const { page, context } = await browser.open({ viewport, colorScheme, reducedMotion: 'reduce' })
  await signIn(page, app.lanUrl)
  await open(page, app)
  await shoot(page, name)
  await context.close()
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForFunction(() => !document.querySelector('[class*="Skeleton-root"]'))
  await page.mouse.move(0, 0)
  await page.screenshot({ path: path.join(FOLDER, `${name}.png`), animations: 'disabled' })
  console.log(`${name}.png`)
}

const names = process.argv.slice(2)
const isWanted = (name: string) => names.length === 0 || names.includes(name)
await mkdir(FOLDER, { recursive: true })
await using browser = await openBrowser()
await using app = await openSeededApp({ machines: 40 })
for (const picture of PICTURES.filter(({ name }) => isWanted(name)))
  await take(browser, app, picture)
