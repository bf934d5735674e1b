import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { diskContent } from '#test/support/disk-content.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { bootToken, hello, startAgent } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'

const IMAGE = 'small'
const VIEWER = { name: 'victor', password: 'only here to have a look' }
const MACS = ['01', '02', '03', '04'].map((end) => `52:54:00:00:f1:${end}`)
/** A telephone at the edge of its network: what a second of it carries, and how long an answer takes. */
const SLOW_LINK = { downloadThroughput: 60_000, uploadThroughput: 20_000, latency: 300 }
const SLOW_DEADLINE_MS = 90_000

describe('many runs at once', () => {
  let app: SeededApp
  let browser: TestBrowser
  let plan: string
  before(async () => {
    app = await openSeededApp({ machines: 0, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    await app.call('POST', '/api/users', { ...VIEWER, role: 'viewer' })
    const body = new Uint8Array(diskContent())
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const answer = await fetch(`${app.url}/api/images/${IMAGE}`, { method: 'PUT', headers, body })
    assert.equal(answer.status, 201)
    for (const [index, mac] of MACS.entries()) await addMachine(mac, `pc-${index + 1}`)
    plan = await startPlan()
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await app?.[Symbol.asyncDispose]()
  })

  async function addMachine(mac: string, name: string): Promise<void> {
    const disks = [createDisk({ serial: `disk of ${name}` })]
    await hello(app, mac, await bootToken(app, mac), createInventory({ disks }))
    await app.call('PUT', `/api/machines/${mac}`, { name })
  }

  async function startPlan(): Promise<string> {
    const request = { workflow: 'deploy', image: IMAGE, macs: MACS }
    const { body } = await app.call<{ id: string }>('POST', '/api/plans', request)
    const confirmation = String(MACS.length)
    const started = await app.call('POST', '/api/runs', { plan: body.id, confirmation })
    assert.equal(started.status, 201)
    return body.id
  }

  /** The agent of a machine, as far as it has come with writing. */
  async function work(name: string, bytesDone: number) {
    const mac = MACS[Number(name.slice(-1)) - 1]!
    const disks = [createDisk({ serial: `disk of ${name}` })]
    const agent = await startAgent(app, mac, createInventory({ disks }))
    await agent.report({ step: 'check-machine', state: 'succeeded' })
    await agent.report({ step: 'write-image', state: 'running', bytesDone, bytesTotal: 100 })
    return agent
  }

  const tiles = (page: Page) =>
    page.getByRole('list', { name: 'Machines, failed and slowest first' }).getByRole('listitem')
  const figure = (page: Page, name: string) =>
    page.getByRole('region', { name: 'Totals' }).getByText(name, { exact: true }).locator('..')

  it('are tiles that follow the runs in every tab, failed and slowest first', async () => {
    const operator = await browser.open()
    await signIn(operator.page, app.lanUrl)
    const second = await operator.context.newPage()
    const viewer = await browser.open()
    await signIn(viewer.page, app.lanUrl, VIEWER)
    const pages = [operator.page, second, viewer.page]
    for (const page of pages) {
      await page.goto(`${app.lanUrl}/runs/fleet?plan=${plan}`)
      await tiles(page).filter({ hasText: 'pc-4' }).waitFor()
      assert.equal(await tiles(page).count(), MACS.length)
    }

    const third = await work('pc-3', 25)
    const fourth = await work('pc-4', 10)
    for (const page of pages) {
      await tiles(page).nth(0).getByText('pc-4').waitFor()
      await tiles(page).nth(1).getByText('pc-3').waitFor()
    }
    await third.result({ state: 'failed', error: 'Step "write-image" failed: the disk is damaged' })
    for (const page of pages) {
      await tiles(page).nth(0).getByText('the disk is damaged').waitFor()
      await figure(page, 'Failed').getByText('1', { exact: true }).waitFor()
    }
    assert.equal(await viewer.page.getByRole('button', { name: 'Cancel all' }).count(), 0)

    await operator.page.getByRole('button', { name: 'Cancel all' }).click()
    const dialog = operator.page.getByRole('dialog')
    await dialog.getByRole('button', { name: /^Cancel \d runs$/ }).click()
    for (const page of pages)
      await tiles(page).filter({ hasText: 'pc-4' }).getByText('Cancelling').waitFor()
    assert.equal((await fourth.report()).body.cancel, true)
    await fourth.result({ state: 'cancelled', error: 'An operator cancelled the run' })
    for (const page of pages) await figure(page, 'Slowest step').getByText('all over').waitFor()
    await assertGoodLooks(operator.page)
    for (const { assertQuiet } of [operator, viewer]) assertQuiet()
  })

  it('come over a slow link without a jump of what is shown already', async () => {
    const { page, context, assertQuiet } = await browser.open()
    context.setDefaultTimeout(SLOW_DEADLINE_MS)
    const devtools = await context.newCDPSession(page)
    await devtools.send('Network.enable')
    await devtools.send('Network.emulateNetworkConditions', { offline: false, ...SLOW_LINK })
    await page.addInitScript(() => {
      const shifts: number[] = []
      Object.assign(window, { shifts })
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[])
          shifts.push(entry.value)
      }).observe({ type: 'layout-shift', buffered: true })
    })
    await signIn(page, app.lanUrl)
    await page.getByText('pc-2').first().waitFor()
    await page.goto(`${app.lanUrl}/runs/fleet?plan=${plan}`)
    await tiles(page).filter({ hasText: 'pc-4' }).waitFor()
    const shifts = await page.evaluate(() => (window as unknown as { shifts: number[] }).shifts)
    // What web.dev calls good; what nobody sees is a tenth of it.
    const sum = shifts.reduce((total, shift) => total + shift, 0)
    assert.ok(sum < 0.1, `The page shifted by ${sum}: ${JSON.stringify(shifts)}`)
    assertQuiet()
  })
})
