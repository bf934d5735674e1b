import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import type { Machine } from '#protocol/machine/machine.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'

/** Of the seeded fleet. */
const DISCOVERED = '52:54:00:00:00:00'
const DEPLOYED = '52:54:00:00:00:04'
const RUNNING = '52:54:00:00:00:07'
const QUEUED = '52:54:00:00:00:0c'
const READY = '52:54:00:00:00:0b'

describe('the page of a machine', () => {
  let app: SeededApp
  let browser: TestBrowser
  let context: BrowserContext
  let assertQuiet: () => void
  before(async () => {
    app = await openSeededApp({ machines: 40 })
    browser = await openBrowser()
    const opened = await browser.open()
    ;({ context, assertQuiet } = opened)
    await signIn(opened.page, app.lanUrl)
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  // Each has a connection for its events, and a browser opens six.
  afterEach(() => Promise.all(context.pages().map((page) => page.close())))

  async function openMachine(mac: string, of: BrowserContext = context): Promise<Page> {
    const page = await of.newPage()
    await page.goto(`${app.lanUrl}/machines/${mac}`)
    await page.getByRole('heading', { level: 1 }).waitFor()
    return page
  }

  async function readMachine(mac: string): Promise<Machine> {
    const { body } = await app.call<Machine>('GET', `/api/machines/${mac}`)
    return body
  }

  it('says what it is, what is on its disks and what it did, under any spelling of its MAC', async () => {
    const page = await openMachine('525400000004')
    await page.getByRole('heading', { name: 'rack1-node05' }).waitFor()
    await page.getByRole('list', { name: /^Disk \/dev\/sda/ }).waitFor()
    await page.getByRole('region', { name: 'Inventory' }).getByText('NUC11TNHi5').waitFor()
    const runs = page.getByRole('region', { name: 'Runs' })
    await runs.getByRole('link', { name: 'Deploy of ubuntu-24.04' }).waitFor()
    await page.getByRole('region', { name: 'Leases' }).getByText('10.0.0.24').waitFor()
    await page.getByRole('link', { name: 'Deploy', exact: true }).waitFor()
    assertQuiet()
  })

  it('leads to a run, whose page is seen from its top', async () => {
    const page = await openMachine(DEPLOYED)
    await page.setViewportSize({ width: 1024, height: 400 })
    const link = page.getByRole('link', { name: 'Deploy of ubuntu-24.04' })
    await link.scrollIntoViewIfNeeded()
    assert.ok((await page.evaluate(() => window.scrollY)) > 0)
    await link.click()
    await page.getByRole('heading', { name: 'Deploy of ubuntu-24.04' }).waitFor()
    await page.waitForFunction(() => window.scrollY === 0)
  })

  it('looks good idle, at work and before anything is known of it', async () => {
    for (const mac of [DEPLOYED, RUNNING, DISCOVERED]) {
      const page = await openMachine(mac)
      await page.getByRole('region', { name: 'Boot', exact: true }).waitFor()
      await assertGoodLooks(page)
      await page.close()
    }
  })

  it('says since when a stage of the boot is waited for, and what to check', async () => {
    const page = await openMachine(DISCOVERED)
    const boot = page.getByRole('region', { name: 'Boot', exact: true })
    await boot.getByText('DHCP', { exact: true }).waitFor()
    await boot.getByText(/waited for since/).waitFor()
    await boot.getByText('It should have come by now').waitFor()
    await boot.getByText(/UDP port 69/).waitFor()
  })

  it('follows its run with the log of the agent', async () => {
    const page = await openMachine(RUNNING)
    await page.getByRole('log').getByText('Chunks 0 to 127 verified').waitFor()
    await page.getByRole('progressbar', { name: /Write the image, \d+ % done/ }).waitFor()
    await page.getByRole('link', { name: 'To its run' }).waitFor()
  })

  it('shows the script that it would get, without the token', async () => {
    const page = await openMachine(QUEUED)
    await page.getByRole('button', { name: 'Show', exact: true }).click()
    const script = page.getByLabel('Boot script', { exact: true }).last()
    await script.getByText(/^#!ipxe/).waitFor()
    const text = (await script.textContent()) ?? ''
    assert.match(text, /stampede\.token=<token>/)
  })

  it('saves settings, and a second tab shows them without a reload', async () => {
    const [first, second] = [await openMachine(READY), await openMachine(READY)]
    await first.getByRole('button', { name: 'Edit' }).click()
    const dialog = first.getByRole('dialog')
    await dialog.getByLabel('Name', { exact: false }).first().fill('database-1')
    await dialog.getByLabel('Address').fill('10.0.5.1')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByText(/An address with the length of its prefix/).waitFor()
    await dialog.getByLabel('Address').fill('10.0.5.1/16')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })
    await second.getByRole('heading', { name: 'database-1' }).waitFor()
    const { name, network } = await readMachine(READY)
    assert.deepEqual({ name, network }, { name: 'database-1', network: { address: '10.0.5.1/16' } })
    await second.getByRole('button', { name: 'Lock' }).click()
    await first.getByText('locked: no run may work on it', { exact: true }).waitFor()
    await first.getByRole('button', { name: 'Unlock' }).click()
    await second.getByText('not locked').waitFor()
    assertQuiet()
  })

  it('does not overwrite what somebody else saved meanwhile', async () => {
    const page = await openMachine(DEPLOYED)
    await page.getByRole('button', { name: 'Edit' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Hostname').fill('mine')
    await app.call('PATCH', `/api/machines/${DEPLOYED}`, { hostname: 'theirs' })
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByText('Someone else changed this machine').waitFor()
    assert.equal((await readMachine(DEPLOYED)).hostname, 'theirs')
    await dialog.getByRole('button', { name: 'Load the present settings' }).click()
    await page.waitForFunction(() =>
      [...document.querySelectorAll('input')].some(({ value }) => value === 'theirs'),
    )
    await dialog.getByLabel('Hostname').fill('mine')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.equal((await readMachine(DEPLOYED)).hostname, 'mine')
  })

  it('is forgotten only after its name was typed', async () => {
    const mac = '52:54:00:00:00:17'
    const { name } = await readMachine(mac)
    const page = await openMachine(mac)
    await page.getByRole('button', { name: 'Forget it' }).click()
    const dialog = page.getByRole('dialog')
    const button = dialog.getByRole('button', { name: 'Forget the machine' })
    assert.ok(await button.isDisabled())
    await dialog.getByLabel(/Type the name/).fill(name)
    await button.click()
    await page.waitForURL(`${app.lanUrl}/machines`)
    assert.equal((await app.call('GET', `/api/machines/${mac}`)).status, 404)
  })

  it('has no buttons for a viewer', async () => {
    const user = { name: 'victor', password: 'only here to have a look' }
    await app.call('POST', '/api/users', { ...user, role: 'viewer' }, { token: ADMIN_TOKEN })
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl, user)
    const page = await openMachine(DEPLOYED, opened.context)
    await page.getByRole('region', { name: 'Settings' }).waitFor()
    for (const name of ['Deploy', 'Capture', 'Lock', 'Edit', 'Forget it', 'More'])
      assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name)
    assert.equal(await page.getByRole('link', { name: 'Deploy', exact: true }).count(), 0)
    assert.equal(await page.getByRole('region', { name: 'Danger zone' }).count(), 0)
    opened.assertQuiet()
  })
})
