import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { parseMac } from '#protocol/mac.ts'
import { seeMachine } from '#server/db/machines/machines.ts'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'
import { goTo, hasFocus, holdEnter, press, untilFocused, watchChanges } from './keyboard.ts'

describe('machines', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({ machines: 40 })
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  async function openMachines(query = '') {
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl)
    await opened.page.goto(`${app.lanUrl}/machines${query}`)
    await opened.page.getByRole('searchbox').waitFor()
    return opened
  }

  it('is no secure context here, as on a LAN', async () => {
    const { page, assertQuiet } = await openMachines()
    assert.equal(await page.evaluate(() => window.isSecureContext), false)
    assertQuiet()
  })

  it('looks good in light and dark, from phone to wide screen', async () => {
    const { page, assertQuiet } = await openMachines()
    await assertGoodLooks(page)
    assertQuiet()
  })

  it('keeps search, filter and order in the address', async () => {
    const { page } = await openMachines()
    await goTo(page, page.getByRole('searchbox'), '/')
    await page.keyboard.type('525400000001')
    await page.getByText('1 of 40 machines').waitFor()
    await page.getByText('rack1-node02').waitFor()
    assert.equal(new URL(page.url()).searchParams.get('q'), '525400000001')
    await page.goto(`${app.lanUrl}/machines?state=failed&sort=-name`)
    const names = page.getByRole('row').getByRole('link')
    await page.getByText('3 of 40 machines').waitFor()
    const shown = await names.allTextContents()
    assert.deepEqual(shown, shown.toSorted().reverse())
    assert.equal(
      await page.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort'),
      'descending',
    )
  })

  it('is searched with the key "/", also where that is pressed with Shift', async () => {
    const { page, context } = await openMachines()
    const devtools = await context.newCDPSession(page)
    // As a German keyboard has it.
    const key = { type: 'keyDown', key: '/', code: 'Digit7', text: '/', modifiers: 8 } as const
    for (const path of ['/machines', '/images']) {
      await page.goto(app.lanUrl + path)
      const search = page.getByLabel(/^(Search machines|Find a machine)$/)
      await search.waitFor()
      await devtools.send('Input.dispatchKeyEvent', key)
      await untilFocused(search)
      assert.equal(await search.inputValue(), '')
    }
    await page.getByRole('button', { name: 'From a URL' }).click()
    const cancel = page.getByRole('dialog').getByRole('button', { name: 'Cancel' })
    await cancel.focus()
    await devtools.send('Input.dispatchKeyEvent', key)
    assert.ok(await hasFocus(cancel))
  })

  it('a machine appears as it is first heard of, without a reload', async () => {
    const { page } = await openMachines()
    await page.getByRole('searchbox').fill('52-54-00-be-ef-01')
    await page.getByText('No machine matches').waitFor()
    await seeMachine(app.database.db, parseMac('525400beef01'), new Date(), { creates: true })
    await page.getByRole('link', { name: '52-54-00-be-ef-01' }).waitFor()
    await app.call('DELETE', '/api/machines/525400beef01')
    await page.getByText('No machine matches').waitFor()
  })

  it('says that the connection is lost, comes back by itself, and misses nothing', async () => {
    const { page } = await openMachines('?q=52-54-00-be-ef')
    await page.getByText('No machine matches').waitFor()
    // It is back only once it was seen to be away.
    const seen = Promise.withResolvers<void>()
    await page.route('**/api/events', async (route) => {
      await seen.promise
      await route.continue()
    })
    app.http.server.closeAllConnections()
    await seeMachine(app.database.db, parseMac('525400beef02'), new Date(), { creates: true })
    await page.getByText('Reconnecting…').waitFor()
    seen.resolve()
    await page.getByRole('link', { name: '52-54-00-be-ef-02' }).waitFor()
    await page.getByText('Reconnecting…').waitFor({ state: 'detached' })
    await app.call('DELETE', '/api/machines/525400beef02')
  })

  it('is worked with by keyboard alone', async () => {
    const { page } = await openMachines('?state=deployed')
    await page.getByRole('grid').focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press(' ')
    await page.keyboard.press('Shift+ArrowDown')
    await page.keyboard.press('Shift+ArrowDown')
    await page.getByText('3 machines selected').waitFor()
    await page.keyboard.press('Control+a')
    await page.getByText('15 machines selected').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('region', { name: 'Selected machines' }).waitFor({ state: 'detached' })
    await page.keyboard.press('Home')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/machines\/52:54:00:/)
  })

  it('locks and tags what is selected, from a shift-click to all of a filter', async () => {
    const { page } = await openMachines('?state=ready')
    const boxes = page.getByRole('checkbox', { name: /^Select rack/ })
    await boxes.nth(0).click()
    await boxes.nth(2).click({ modifiers: ['Shift'] })
    await page.getByText('3 machines selected').waitFor()
    await page.getByRole('checkbox', { name: /^Select all/ }).click()
    await page.getByText('9 machines selected').waitFor()
    await page.getByRole('button', { name: 'Tags…' }).click()
    await page.getByRole('combobox', { name: 'Add' }).fill('spare')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('9 machines changed').waitFor()
    const { body } = await app.call<{ items: unknown[] }>('GET', '/api/machines?tag=spare')
    assert.equal(body.items.length, 9)
  })

  for (const [opener, action, choose] of [
    ['Tags…', 'Save', ['s', 'p', 'Enter']],
    ['Assign image…', 'Assign', ['ArrowDown', 'Enter']],
  ] as const)
    it(`keeps the keyboard where it is while "${opener}" works, and sends once`, async () => {
      const { page } = await openMachines('?state=ready')
      await page.getByRole('checkbox', { name: /^Select all/ }).click()
      const answered = Promise.withResolvers<void>()
      await page.route('**/api/machines', async (route) => {
        if (route.request().method() !== 'PATCH') return await route.fallback()
        await answered.promise
        await route.fulfill({ status: 409, json: { error: { code: 'no', message: 'Not now' } } })
      })
      const changes = watchChanges(page)
      const open = page.getByRole('button', { name: opener })
      await press(page, open)
      const dialog = page.getByRole('dialog')
      await untilFocused(dialog.getByRole('combobox').first())
      for (const key of choose) await page.keyboard.press(key)
      const button = dialog.getByRole('button', { name: action })
      await goTo(page, button)
      await holdEnter(page)
      assert.ok(await hasFocus(button))
      assert.equal(await button.getAttribute('aria-disabled'), 'true')
      answered.resolve()
      await dialog.getByRole('alert').getByText('Not now').waitFor()
      assert.ok(await hasFocus(button))
      assert.equal(await button.getAttribute('aria-disabled'), null)
      assert.deepEqual(changes, ['PATCH /api/machines'])
      await page.keyboard.press('Escape')
      await untilFocused(open)
    })

  it('tell what is selected where the browser is to use colours of its own', async () => {
    const { page } = await openMachines()
    await page.emulateMedia({ forcedColors: 'active' })
    const all = page.getByRole('checkbox', { name: /^Select all/ })
    const ground = () => all.evaluate((box) => getComputedStyle(box).backgroundColor)
    const before = await ground()
    await all.click()
    await page.getByText('40 machines selected').waitFor()
    const none = page.getByRole('checkbox', { name: 'Select none' })
    await none.waitFor()
    assert.notEqual(await none.evaluate((box) => getComputedStyle(box).backgroundColor), before)
  })

  it('deletes only after the number of machines was typed', async () => {
    const { page } = await openMachines('?state=discovered')
    await page.getByRole('checkbox', { name: /^Select all/ }).click()
    await page.getByRole('button', { name: 'More for the selected machines' }).click()
    await page.getByRole('menuitem', { name: 'Delete…' }).click()
    const button = page.getByRole('button', { name: 'Delete 3 machines' })
    await page.getByLabel(/Type the number of machines/).fill('2')
    assert.ok(await button.isDisabled())
    await page.getByLabel(/Type the number of machines/).fill('3')
    await button.click()
    await page.getByText('No machine matches').waitFor()
    const { body } = await app.call<{ items: unknown[] }>('GET', '/api/machines?state=discovered')
    assert.deepEqual(body.items, [])
  })

  it('shows a viewer the machines and nothing to change them with', async () => {
    const user = { name: 'victor', password: 'only here to have a look' }
    await app.call('POST', '/api/users', { ...user, role: 'viewer' }, { token: ADMIN_TOKEN })
    const { page } = await browser.open()
    await signIn(page, app.lanUrl, user)
    await page.getByRole('grid', { name: 'Machines' }).waitFor()
    assert.equal(await page.getByRole('checkbox').count(), 0)
  })
})
