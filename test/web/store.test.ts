import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { StoreStatus } from '#protocol/store.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { openSeededApp, OPERATOR, type SeededApp } from '#test/support/seeded-app.ts'
import { chunkHash, removeChunk, rot, waitFor } from '../server/care/care-lab.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'
import { goTo, hasFocus, holdEnter, press, untilFocused, watchChanges } from './keyboard.ts'

const DISK = diskContent()
const VIEWER = { name: 'vera', password: 'nobody knows this one' }

describe('the page of the store', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({ machines: 3 })
    await app.call('POST', '/api/users', { ...VIEWER, role: 'viewer' })
    await app.call('PUT', '/api/images/whole', DISK)
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  const status = async () => (await app.call<StoreStatus>('GET', '/api/store')).body

  async function open(user = OPERATOR) {
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl, user)
    await opened.page.goto(`${app.lanUrl}/settings/store`)
    await opened.page.getByRole('heading', { name: 'Room' }).waitFor()
    return opened
  }

  it('lets an admin turn recompression off, check all chunks, and see what was lost', async () => {
    const { page, assertQuiet } = await open()
    const recompression = page.getByRole('switch', { name: /^Store chunks in fewer bytes/ })
    assert.equal(await recompression.isChecked(), true)
    await recompression.click({ force: true })
    await waitFor('the switch', async () => !(await status()).recompression.enabled)

    await waitFor('the first check', async () => (await status()).scrub.last !== null)
    await rot(join(app.dataFolder, 'store'), chunkHash(DISK, 1))
    await page.getByRole('button', { name: 'Check now' }).click()
    await page.getByText('The store has lost parts of images').waitFor()
    await page.getByText('one damaged chunk').waitFor()
    await assertGoodLooks(page)
    if (process.env['SHOT']) await page.screenshot({ path: process.env['SHOT'], fullPage: true })

    await page.getByRole('link', { name: 'whole' }).click()
    await page.getByText('The store has lost a part of this image').waitFor()
    const versions = page.getByRole('region', { name: 'Versions', exact: true })
    await versions.getByText('damaged').first().waitFor()
    await assertGoodLooks(page)
    // What would only fail is not offered.
    const offered = page.getByRole('link', { name: /^(Deploy|Download)/ })
    assert.equal(await offered.count(), 0)
    // Its content comes again, and nobody has to reload the page.
    await app.call('PUT', '/api/images/again', DISK)
    await page.getByText('The store has lost a part of this image').waitFor({ state: 'detached' })
    await versions.getByText('damaged').first().waitFor({ state: 'detached' })
    assert.equal(await offered.count(), 2)
    assertQuiet()
  })

  it('lets an admin copy it to another store, and says how to use that', async () => {
    const { page } = await open()
    await page.getByRole('button', { name: 'Copy to another store' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Where to').fill('s3://bucket')
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await dialog.getByText(/needs AWS_REGION such as/).waitFor()
    assert.equal(await dialog.getByLabel('Where to').getAttribute('aria-invalid'), 'true')
    const to = `file:${join(app.dataFolder, 'other-store')}`
    await dialog.getByLabel('Where to').fill(to)
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await page.getByText('To use it', { exact: true }).waitFor()
    await page.getByText(`STAMPEDE_STORE=${to}`).waitFor()
    for (const [width, height] of [
      [390, 844],
      [1024, 768],
      [1600, 900],
    ] as const) {
      await page.setViewportSize({ width, height })
      await assertGoodLooks(page)
    }
    if (process.env['SHOT']) await page.screenshot({ path: process.env['SHOT'], fullPage: true })
  })

  it('names what neither store has, and what belongs to no image', async () => {
    const disk = randomBytes(3 * MIB)
    await app.call('PUT', '/api/images/lacking', disk)
    await removeChunk(join(app.dataFolder, 'store'), chunkHash(disk, 1))
    const content = randomBytes(5000)
    await app.call('PUT', `/chunks/${sha256(content)}`, gzipSync(content))
    await app.call('POST', '/api/store/migration', { to: `file:${app.dataFolder}/lacking` })
    await waitFor('the copy', async () => (await status()).migration?.state === 'done')
    const { page } = await open()
    const alert = page.getByRole('alert').filter({ hasText: 'Neither store has all' })
    await alert.getByText('lacking lacks one chunk').waitFor()
    await page.getByText('goes at the next sweep').waitFor()
    await assertGoodLooks(page)
    await app.call('PUT', '/api/images/lacking', disk)
  })

  it('is worked with by the keyboard alone, and a key held down does nothing twice', async () => {
    await app.call('POST', '/api/store/migration', { to: `file:${app.dataFolder}/third` })
    await waitFor('the copy', async () => (await status()).migration?.state === 'done')
    const { page, assertQuiet } = await open()
    const changes = watchChanges(page)
    const sweep = page.getByRole('button', { name: 'Remove what nothing needs' })
    await goTo(page, sweep)
    // What is said goes away by itself, perhaps before the key is let go.
    await Promise.all([page.getByText(/^Removed \d+ chunk/).waitFor(), holdEnter(page)])
    assert.ok(await hasFocus(sweep))
    assert.deepEqual(changes.splice(0), ['POST /api/store/sweep'])

    const recompression = page.getByRole('switch')
    await goTo(page, recompression)
    const before = await recompression.isChecked()
    await page.keyboard.press('Space')
    await waitFor('the switch', async () => (await status()).recompression.enabled !== before)
    assert.ok(await hasFocus(recompression))

    // It opens with where the last one went: held down, the key does not send it.
    const copy = page.getByRole('button', { name: 'Copy to another store' })
    await goTo(page, copy)
    changes.length = 0
    await holdEnter(page)
    await untilFocused(page.getByRole('dialog').getByLabel('Where to'))
    assert.deepEqual(changes, [])
    await page.keyboard.press('Escape')
    await untilFocused(copy)
    await press(page, copy)
    await page.getByRole('dialog').waitFor()
    assertQuiet()
  })

  it('shows a viewer the same, and nothing to press', async () => {
    const { page } = await open(VIEWER)
    await page.goto(`${app.lanUrl}/images`)
    // What quota and reserve leave, as here: not all that is free on the disk.
    await page.getByText(/images stored in .* left$/).waitFor()
    await page.goto(`${app.lanUrl}/settings/store`)
    await page.getByRole('heading', { name: 'Check of all chunks' }).waitFor()
    for (const name of [
      'Check now',
      'Recompress now',
      'Remove what nothing needs',
      'Copy to another store',
    ])
      assert.equal(await page.getByRole('button', { name }).count(), 0)
    assert.equal(
      await page.getByRole('switch', { name: /^Store chunks in fewer bytes/ }).isDisabled(),
      true,
    )
  })
})
