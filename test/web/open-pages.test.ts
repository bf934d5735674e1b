import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { openBrowser, signIn, type TestBrowser } from './browser.ts'

const MACHINE = '52:54:00:00:00:04'
/** Connections that a browser opens to a server over HTTP/1.1, for all of its tabs. */
const CONNECTIONS = 6

describe('a page that stays open', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({ machines: 5 })
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  it('keeps what is typed into a form while the link was lost', async () => {
    const { page, assertQuiet } = await browser.open()
    await signIn(page, app.lanUrl)
    await page.goto(`${app.lanUrl}/machines/${MACHINE}`)
    await page.getByRole('button', { name: 'Edit' }).click()
    const hostname = page.getByRole('dialog').getByLabel('Hostname')
    await hostname.fill('half-a-na')
    await loseLink(page)
    assert.equal(await hostname.inputValue(), 'half-a-na')
    assertQuiet()
  })

  /** Until the page has a new stream of events, and has asked for everything anew. */
  async function loseLink(page: Page): Promise<void> {
    let refusals = 0
    await page.route('**/api/events', async (route) => {
      refusals++
      if (refusals === 1) await route.fulfill({ status: 503 })
      else await route.continue()
    })
    app.http.server.closeAllConnections()
    await page.waitForResponse((answer) => answer.url().endsWith('/api/events') && answer.ok())
    await page.waitForTimeout(1000)
  }

  it('in the background takes no connection from the tab that is looked at', async () => {
    const { page, context } = await browser.open()
    await signIn(page, app.lanUrl)
    for (let tab = 0; tab < CONNECTIONS; tab++) {
      const other = await context.newPage()
      // The browser of the tests calls every page visible.
      await other.addInitScript(() =>
        Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' }),
      )
      await other.goto(`${app.lanUrl}/machines/${MACHINE}`)
      await other.getByRole('heading', { level: 1 }).waitFor()
      await other.evaluate(() => dispatchEvent(new Event('online')))
    }
    await page.getByRole('link', { name: 'Network' }).click()
    await page.getByRole('heading', { name: 'Reservations' }).waitFor()
  })

  it('says so where the code of another page does not come, and loads it anew', async () => {
    const { page } = await browser.open()
    await signIn(page, app.lanUrl)
    // As after an update of the server, or while it is away.
    await page.route('**/assets/*', (route) => route.abort())
    await page.getByRole('link', { name: 'rack1-node02' }).click()
    const told = page.getByRole('alert').getByText('This page could not be loaded')
    await told.waitFor()
    await page.getByRole('link', { name: 'Machines', exact: true }).click()
    await page.getByRole('link', { name: 'rack1-node02' }).click()
    await told.waitFor()
    await page.unroute('**/assets/*')
    await page.getByRole('button', { name: 'Load the page again' }).click()
    await page.getByRole('heading', { name: 'rack1-node02' }).waitFor()
  })
})
