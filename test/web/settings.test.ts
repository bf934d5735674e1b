import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openSeededApp, OPERATOR, type SeededApp } from '#test/support/seeded-app.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'

describe('settings and network', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({ machines: 12 })
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  async function open(path: string, user = OPERATOR) {
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl, user)
    await opened.page.goto(`${app.lanUrl}${path}`)
    return opened
  }

  const HEADINGS = {
    '/network': 'Leases',
    '/settings/health': 'This server',
    '/settings/store': 'Check of all chunks',
    '/settings/account': 'Password',
    '/settings/tokens': 'API tokens',
    '/settings/users': 'Users',
    '/settings/webhooks': 'Webhooks',
    '/settings/audit': 'Audit log',
  }

  it('look good in light and dark, from phone to wide screen', async () => {
    const { page, assertQuiet } = await open('/network')
    for (const [path, name] of Object.entries(HEADINGS)) {
      await page.goto(`${app.lanUrl}${path}`)
      await page.getByRole('heading', { name, level: 2 }).first().waitFor()
      await assertGoodLooks(page)
    }
    assertQuiet()
  })

  it('add a user, who sees what a viewer may, and no more', async () => {
    const { page } = await open('/settings/users')
    await page.getByRole('button', { name: 'Add a user' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('vera')
    await dialog.getByRole('combobox', { name: 'Role' }).click()
    await page.getByRole('option', { name: /^Viewer/ }).click()
    await dialog.getByLabel('Password', { exact: true }).fill('nobody knows this one')
    await dialog.getByRole('button', { name: 'Add' }).click()
    await page.getByText('vera', { exact: true }).waitFor()

    const { page: hers } = await open('/settings', {
      name: 'vera',
      password: 'nobody knows this one',
    })
    await hers.getByRole('tab', { name: 'Your account' }).waitFor()
    for (const hidden of ['Users', 'Webhooks', 'Audit log'])
      assert.equal(await hers.getByRole('tab', { name: hidden }).count(), 0)
    await hers.goto(`${app.lanUrl}/network`)
    await hers.getByRole('heading', { name: 'Reservations' }).waitFor()
    assert.equal(await hers.getByRole('button', { name: 'Reserve an address' }).count(), 0)
    await hers.goto(`${app.lanUrl}/images`)
    await hers.getByRole('heading', { name: 'Images' }).waitFor()
    assert.equal(await hers.getByRole('button', { name: 'Upload', exact: true }).count(), 0)
    await hers.getByRole('link', { name: 'debian-13-server' }).click()
    await hers.getByRole('button', { name: 'Actions for version 1' }).click()
    await hers.getByRole('menuitem', { name: 'Download' }).waitFor()
    assert.equal(await hers.getByRole('menuitem').count(), 1)
    const pressed = await hers.getByRole('main').getByRole('button').allInnerTexts()
    assert.deepEqual(pressed.filter(Boolean), ['As another file'])
  })

  it('show the secret of a token once, and it works until it is revoked', async () => {
    const { page } = await open('/settings/tokens')
    await page.getByRole('button', { name: 'Create a token' }).click()
    await page.getByLabel('What it is for').fill('nightly')
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
    const secret = await page.getByText(/^stp_/).textContent()
    await page.getByRole('button', { name: 'I have it' }).click()
    assert.equal((await app.call('GET', '/api/machines', undefined, { token: secret })).status, 200)
    await page
      .getByRole('row', { name: /nightly/ })
      .getByRole('button', { name: 'Revoke' })
      .click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await page
      .getByRole('row', { name: /nightly/ })
      .getByText('revoked')
      .waitFor()
    assert.equal((await app.call('GET', '/api/machines', undefined, { token: secret })).status, 401)
    assert.equal(await page.getByText(secret!).count(), 0)
  })

  it('tell in the audit log who did what, and find it', async () => {
    await app.call('PATCH', '/api/machines/52:54:00:00:00:01', { locked: true })
    const { page } = await open('/settings/audit')
    await page.getByLabel('To what').fill('52:54:00:00:00:01')
    const row = page.getByRole('row', { name: /machine\.update/ }).first()
    await row.getByText('admin').first().waitFor()
    await row.getByText('done').waitFor()
    await page.waitForURL(({ searchParams }) => searchParams.get('target') === '52:54:00:00:00:01')
    await page.setViewportSize({ width: 390, height: 844 })
    const card = page.getByRole('list', { name: 'List of the audit log' }).getByRole('listitem')
    await card.filter({ hasText: 'machine.update' }).first().getByText('done').waitFor()
    await assertGoodLooks(page)
  })

  it('fold what an entry of the audit log says of a call about many machines', async () => {
    const macs = Array.from({ length: 60 }, (_, index) => `52:54:00:00:77:${10 + index}`)
    await app.call('POST', '/api/plans', { workflow: 'wipe', macs })
    const { page } = await open('/settings/audit?action=plan.create')
    await page.setViewportSize({ width: 1024, height: 900 })
    const row = page.getByRole('row', { name: /plan\.create/ }).first()
    const height = async () => (await row.boundingBox())!.height
    await row.getByRole('button', { name: 'Show all' }).waitFor()
    assert.ok((await height()) < 200, `${await height()} pixels`)
    // Its machine is told in two lines, its kind and its MAC.
    assert.ok((await row.getByRole('link').boundingBox())!.height < 60)
    await row.getByRole('button', { name: 'Show all' }).click()
    await row.getByRole('button', { name: 'Show less' }).waitFor()
    assert.ok((await height()) > 300, `${await height()} pixels`)
    await row.getByRole('button', { name: 'Show less' }).click()
    await assertGoodLooks(page)
  })

  it('keep a reservation, and give it up', async () => {
    const { page } = await open('/network')
    await page.getByRole('button', { name: 'Reserve an address' }).click()
    await page.getByLabel('MAC address').fill('52-54-00-12-34-56')
    await page
      .getByRole('dialog')
      .getByLabel(/^Address/)
      .fill('nonsense')
    await page.getByRole('dialog').getByRole('button', { name: 'Reserve' }).click()
    await page.getByRole('alert').waitFor()
    await page
      .getByRole('dialog')
      .getByLabel(/^Address/)
      .fill('10.0.0.200')
    await page.getByRole('dialog').getByRole('button', { name: 'Reserve' }).click()
    await page.getByRole('cell', { name: '10.0.0.200', exact: true }).waitFor()
    await page.getByRole('button', { name: 'Give up the reservation of 10.0.0.200' }).click()
    await page.getByRole('button', { name: 'Give it up' }).click()
    await page.getByRole('cell', { name: '10.0.0.200', exact: true }).waitFor({ state: 'detached' })
  })
})
