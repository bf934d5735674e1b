import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { openBrowser, signIn, type TestBrowser } from './browser.ts'

const TEXT = '525400000001'
/** As slow as a machine that is busy with something else: the address follows long after the keys. */
const SLOWNESS = 10
const MILLISECONDS_BETWEEN_KEYS = [5, 200]

describe('what is typed', () => {
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

  for (const { path, label, key } of [
    { path: '/machines', label: 'Search machines', key: 'q' },
    { path: '/images', label: 'Search images', key: 'q' },
    { path: '/settings/audit', label: 'Who', key: 'actor' },
  ])
    it(`stays whole where the browser is slow, and the address has it: ${path}`, async () => {
      const { page, context } = await browser.open()
      await signIn(page, app.lanUrl)
      await page.goto(app.lanUrl + path)
      const field = page.getByLabel(label)
      await field.waitFor()
      const session = await context.newCDPSession(page)
      await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWNESS })
      for (const delay of MILLISECONDS_BETWEEN_KEYS) {
        await field.fill('')
        await page.waitForURL((url) => !url.searchParams.has(key))
        await field.focus()
        await page.keyboard.type(TEXT, { delay })
        await page.waitForURL((url) => url.searchParams.get(key) === TEXT, { timeout: 20_000 })
        assert.equal(await field.inputValue(), TEXT)
      }
    })
})
