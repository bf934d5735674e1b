import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'
import { OPERATOR, openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import {
  assertAccessible,
  assertGoodLooks,
  openBrowser,
  signIn,
  type TestBrowser,
} from './browser.ts'
import { hasFocus, press } from './keyboard.ts'

describe('the first run', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({ machines: 0, withoutAccount: true })
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  it('leads from the admin token to an account, and to the empty fleet', async () => {
    const { page, context, assertQuiet } = await browser.open()
    await page.goto(app.lanUrl)
    await page.getByRole('heading', { name: 'Welcome' }).waitFor()
    await assertGoodLooks(page)
    await page.getByLabel('Admin token').fill('not the token at all')
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByLabel('Name').fill(OPERATOR.name)
    await page.getByLabel('Password', { exact: true }).fill('short')
    await page.getByLabel('Password again').fill('other')
    await page.getByRole('button', { name: 'Create the account' }).click()
    await page.getByText('At least 10 characters', { exact: true }).waitFor()
    await page.getByText('The two differ').waitFor()
    await assertAccessible(page)
    for (const label of ['Password', 'Password again'])
      await page.getByLabel(label, { exact: true }).fill(OPERATOR.password)
    await page.getByRole('button', { name: 'Create the account' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByRole('button', { name: 'Use another token' }).click()
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN)
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByLabel('Name').fill(OPERATOR.name)
    for (const label of ['Password', 'Password again'])
      await page.getByLabel(label, { exact: true }).fill(OPERATOR.password)
    await page.getByRole('button', { name: 'Create the account' }).click()
    await page.getByRole('heading', { name: 'Waiting for the first machine' }).waitFor()
    await page.getByRole('tab', { name: 'dnsmasq' }).waitFor()
    await assertGoodLooks(page)

    await context.grantPermissions([])
    await page.getByRole('tab', { name: 'Kea' }).click()
    // It says so for a moment only, and is therefore looked at in each frame.
    const copied = page.waitForFunction(() =>
      [...document.querySelectorAll('button')].some(({ textContent }) => textContent === 'Copied'),
    )
    await Promise.all([
      copied,
      page.getByRole('button', { name: 'Copy the lines for Kea' }).click(),
    ])
    assertQuiet()
  })
})

describe('signing in', () => {
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

  it('comes back to the page that was asked for, and ends with the session', async () => {
    const { page } = await browser.open()
    await page.goto(`${app.lanUrl}/machines?sort=-name`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await assertGoodLooks(page)
    await page.getByLabel('Name').fill(OPERATOR.name)
    await page.getByLabel('Password', { exact: true }).fill('a wrong password')
    const signIn = page.getByRole('button', { name: 'Sign in' })
    await press(page, signIn)
    await page.getByRole('alert').waitFor()
    assert.ok(await hasFocus(signIn))
    await page.getByLabel('Password', { exact: true }).fill(OPERATOR.password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('grid', { name: 'Machines' }).waitFor()
    assert.equal(new URL(page.url()).search, '?sort=-name')

    await page.goto(`${app.lanUrl}/nothing/here`)
    await page.getByText('There is no such page').waitFor()
    await assertAccessible(page)
    await page.getByRole('button', { name: `Account of ${OPERATOR.name}` }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.goto(`${app.lanUrl}/machines`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  })

  it('in another tab is noticed in this one when it changes something', async () => {
    const { page, context } = await browser.open()
    await signIn(page, app.lanUrl)
    await page.goto(`${app.lanUrl}/settings/tokens`)
    await page.getByRole('button', { name: 'Create a token' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('What it is for').fill('nightly')
    // The cookie is of another session from now on, and this page does not know.
    const origin = app.lanUrl
    const answer = await context.request.post(`${origin}/api/session`, {
      headers: { origin },
      data: OPERATOR,
    })
    assert.equal(answer.status(), 200)
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByRole('alert').waitFor()
    await dialog.getByRole('button', { name: 'Create' }).click()
    await page.getByText(/^stp_/).waitFor()
  })

  it('does not lead to another site', async () => {
    const { page } = await browser.open()
    await page.goto(`${app.lanUrl}/login?to=//example.com/`)
    await page.getByLabel('Name').fill(OPERATOR.name)
    await page.getByLabel('Password', { exact: true }).fill(OPERATOR.password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${app.lanUrl}/machines`)
  })
})
