import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtempDisposable, readFile, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Image } from '#protocol/image/image-info.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { diskOfGroup, VOLUME_BYTES } from '#test/support/volume-group.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'
import { goTo, hasFocus, holdEnter, press, untilFocused, watchChanges } from './keyboard.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024
/** So much faster are the limits of the page's calls over, in a test that waits for one. */
const HASTE = 5

describe('the versions and contents of images', () => {
  let app: SeededApp
  let browser: TestBrowser
  before(async () => {
    app = await openSeededApp({
      machines: 6,
      env: { STAMPEDE_PULL_LOCAL: '1', STAMPEDE_KEEP_VERSIONS: '3' },
    })
    browser = await openBrowser()
    for (const seed of [1, 2, 3])
      await app.call('PUT', '/api/images/web', new Uint8Array(MIB).fill(seed))
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  async function open(path: string) {
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl)
    await opened.page.goto(`${app.lanUrl}${path}`)
    return opened
  }
  const image = async (reference: string) =>
    (await app.call<Image>('GET', `/api/images/${reference}`)).body

  it('are worked with by the keyboard alone, and it is never lost', async () => {
    const { page, assertQuiet } = await open('/images')
    const answered = Promise.withResolvers<void>()
    await page.route('**/promote', async (route) => {
      await answered.promise
      await route.fulfill({ status: 409, json: { error: { code: 'no', message: 'Not now' } } })
    })
    const changes = watchChanges(page)
    const dialog = page.getByRole('dialog')
    await press(page, page.getByRole('link', { name: 'web', exact: true }))
    await untilFocused(page.getByRole('main'))

    const edit = page.getByRole('button', { name: 'Edit' })
    await goTo(page, edit)
    await holdEnter(page)
    const name = dialog.getByLabel('Name', { exact: true })
    await untilFocused(name)
    await page.keyboard.press('Control+A')
    await page.keyboard.type('ubuntu-24.04')
    await page.keyboard.press('Enter')
    await dialog.getByRole('alert').waitFor()
    assert.equal(await name.getAttribute('aria-invalid'), 'true')
    // All that is wrong has a red border; where the keyboard is, shows beside it.
    assert.equal(await name.evaluate((field) => getComputedStyle(field).outlineStyle), 'solid')
    assert.deepEqual(changes.splice(0), ['PATCH /api/images/web'])
    await page.keyboard.press('Escape')
    await untilFocused(edit)

    const link = page.getByRole('button', { name: 'Make a link for curl' })
    await press(page, link)
    await page.getByText('curl -f http').waitFor()
    assert.ok(await hasFocus(link))

    const kept = page.getByRole('button', { name: 'What is kept' })
    await press(page, kept)
    await untilFocused(dialog.getByRole('radio', { checked: true }))
    await page.keyboard.press('Escape')
    await untilFocused(kept)

    const menu = page.getByRole('button', { name: 'Actions for version 2' })
    await press(page, menu)
    await goTo(page, page.getByRole('menuitem', { name: 'Roll back to it' }), 'ArrowDown')
    changes.length = 0
    await holdEnter(page)
    await untilFocused(dialog.getByRole('button', { name: 'Roll back' }))
    assert.deepEqual(changes, [])
    // Closed while it goes on: how it ends is said all the same.
    await page.keyboard.press('Enter')
    await page.keyboard.press('Escape')
    await untilFocused(menu)
    answered.resolve()
    await page.getByRole('alert').getByText('Not now').waitFor()
    assertQuiet()
  })

  it('are listed, and the name is rolled back to one of them', async () => {
    const { page, assertQuiet } = await open('/images/web')
    const versions = page.getByRole('region', { name: 'Versions' })
    const rows = versions.getByRole('row')
    await rows.nth(3).waitFor()
    assert.match(await rows.nth(1).innerText(), /^3\s+promoted/i)
    // All versions go with the image, each with what is its own.
    await page.getByText(/^Deleting cannot be undone and frees at least /).waitFor()
    await page.getByText(/ with other images or versions; its own: /).waitFor()
    await assertGoodLooks(page)
    await page.getByRole('button', { name: 'Actions for version 2' }).click()
    await page.getByRole('menuitem', { name: 'Roll back to it' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('at their next deployment').waitFor()
    await dialog.getByRole('button', { name: 'Roll back' }).click()
    await page.getByText('web stands for version 2 now').waitFor()
    assert.equal((await image('web')).version, 2)
    await page.getByRole('button', { name: 'Actions for version 3' }).click()
    await page.getByRole('menuitem', { name: 'Promote' }).waitFor()
    await page.getByRole('menuitem', { name: 'Delete' }).click()
    await page.getByLabel(/to confirm/).fill('web@3')
    await page.getByRole('button', { name: 'Delete the version' }).click()
    await page.getByText('Version 3 is deleted').waitFor()
    assert.equal((await image('web')).latestVersion, 2)
    assertQuiet()
  })

  it('are kept by a rule, whose outcome is shown before', async () => {
    const { page, assertQuiet } = await open('/images/web')
    await page.getByRole('button', { name: 'What is kept' }).click()
    await page.getByLabel('The newest, and those young enough').click()
    const count = page.getByLabel('The newest so many')
    await count.fill('')
    // Why it cannot be saved so.
    await page.getByText('Say how many, or for how long, or both').waitFor()
    await count.fill('1')
    await page.getByText('Would go at once: version 1').waitFor()
    await assertGoodLooks(page)
    assert.equal((await image('web')).versionCount, 2)
    await page.getByRole('button', { name: 'Save and remove' }).click()
    await page.getByText('Removed: version 1').waitFor()
    assert.equal((await image('web')).versionCount, 1)
    assertQuiet()
  })

  it('are told of before the settings of the server decide on them', async () => {
    const put = (path: string, body: unknown) => app.call('PUT', `/api/images/${path}`, body)
    await put('kept', new Uint8Array(512).fill(1))
    await put('kept/retention', {})
    for (const seed of [2, 3, 4, 5]) await put('kept', new Uint8Array(512).fill(seed))
    const { page, assertQuiet } = await open('/images/kept')
    await page.getByRole('button', { name: 'What is kept' }).click()
    await page.getByText('Nothing would go at the moment').waitFor()
    await page.getByLabel('As the settings of the server say').click()
    await page
      .getByText('The settings keep the newest 3. Would go at once: versions 2, 1')
      .waitFor()
    assert.equal((await image('kept')).versionCount, 5)
    await page.getByRole('button', { name: 'Save and remove' }).click()
    await page.getByText('Removed: versions 2, 1').waitFor()
    assert.equal((await image('kept')).versionCount, 3)
    assertQuiet()
  })

  it('are fetched from a URL, with progress, and can be cancelled', async () => {
    const answered = Promise.withResolvers<void>()
    const server = createServer(async (request, response) => {
      response.writeHead(200, { 'content-length': 2 * MIB })
      response.write(Buffer.alloc(MIB, 7))
      if (request.url === '/never.img') return
      await answered.promise
      response.end(Buffer.alloc(MIB, 8))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { page, assertQuiet } = await open('/images')
    const pull = async (path: string) => {
      await page.getByRole('button', { name: 'From a URL' }).click()
      await page.getByLabel('URL', { exact: true }).fill(mirror + path)
      await page.getByRole('dialog').getByRole('button', { name: 'Fetch' }).click()
    }
    try {
      await pull('/Fetched%20One.img')
      const list = page.getByLabel('Fetched from URLs')
      await list.getByText('1.05 MB of 2.10 MB').waitFor()
      await page.mouse.move(0, 0) // no row of the table is pointed at
      await assertGoodLooks(page)
      answered.resolve()
      await list.getByRole('link', { name: 'fetched-one' }).waitFor()
      assert.equal((await image('fetched-one')).sizeBytes, 2 * MIB)
      await pull('/never.img')
      // Its figures are not read out each time, and what is gone leaves nobody behind.
      const figures = list.getByText('1.05 MB of 2.10 MB')
      assert.equal(await figures.getAttribute('aria-live'), 'off')
      await press(page, list.getByRole('button', { name: 'Cancel' }))
      const end = list.getByText('Cancelled; nothing of it stays')
      await end.waitFor()
      assert.equal(await end.getAttribute('aria-live'), 'polite')
      await untilFocused(list)
      assertQuiet()
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('are nothing to work with once somebody deleted the image', async () => {
    await app.call('PUT', '/api/images/short-lived', new Uint8Array(512).fill(1))
    const { page } = await open('/images/short-lived')
    const deploy = page.getByRole('link', { name: 'Deploy' })
    await deploy.waitFor()
    await app.call('DELETE', '/api/images/short-lived')
    await page.getByText('There is no image "short-lived"').waitFor()
    await deploy.waitFor({ state: 'detached' })
  })

  it('are shown as they are fetched, whoever had that begun', async () => {
    const { page } = await open('/images')
    await page.getByRole('link', { name: 'web', exact: true }).waitFor()
    const url = 'http://127.0.0.1:1/elsewhere.img'
    assert.equal((await app.call('POST', '/api/images/elsewhere/pull', { url })).status, 202)
    await page.getByLabel('Fetched from URLs').getByText(`${url} → elsewhere`).waitFor()
  })

  it('are looked into for one file, and taken out in any format', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-web-files-'))
    const root = join(folder.path, 'root')
    await mkdir(join(root, 'etc'), { recursive: true })
    await writeFile(join(root, 'etc/fstab'), 'UUID=1 / ext4\n')
    const disk = join(folder.path, 'disk.img')
    await writeFile(disk, '')
    await truncate(disk, 8 * MIB)
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
    await run('mkfs.ext4', ['-q', '-d', root, disk], { env })
    await app.call('PUT', '/api/images/system', await readFile(disk))
    const { page, assertQuiet } = await open('/images/system')
    const path = page.getByLabel('Path in the image')
    await press(page, path)
    await press(page, page.getByRole('button', { name: 'etc/' }))
    await page.getByText('/etc, 1 entry').waitFor()
    await untilFocused(page.getByRole('list', { name: 'Content of /etc' }))
    await assertGoodLooks(page)
    const file = page.waitForEvent('download')
    await page.getByRole('link', { name: 'fstab (14 B)' }).click()
    const saved = await (await file).path()
    assert.equal(await readFile(saved, 'utf8'), 'UUID=1 / ext4\n')
    await path.fill('/etc/shadow')
    await page.getByRole('button', { name: 'Look' }).click()
    await page.getByText('There is no "/etc/shadow" in the image').waitFor()
    assert.equal(await path.getAttribute('aria-invalid'), 'true')

    await page.getByRole('button', { name: 'As another file' }).click()
    const whole = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: /\.qcow2/ }).click()
    const qcow2 = await readFile(await (await whole).path())
    assert.equal(qcow2.toString('latin1', 0, 3), 'QFI')
    assertQuiet()
  })

  it('are looked into however long the server unpacks them', async () => {
    await app.call('PUT', '/api/images/large', new Uint8Array(512).fill(1))
    const { page } = await open('/images/large')
    await page.addInitScript((haste) => {
      const timeout = AbortSignal.timeout.bind(AbortSignal)
      AbortSignal.timeout = (milliseconds) => timeout(milliseconds / haste)
    }, HASTE)
    await page.reload()
    await page.route('**/api/images/large/tree?*', async (route) => {
      await sleep(40_000 / HASTE)
      await route.fulfill({ json: { partition: 0, path: '/', items: [] } })
    })
    await page.getByRole('button', { name: 'Look' }).click()
    await page.getByText('/, 0 entries').waitFor()
  })

  it('are looked into in the logical volume that is chosen', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-web-'))
    const file = join(folder.path, 'ext4')
    await writeFile(file, '')
    await truncate(file, VOLUME_BYTES)
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
    await run('mkfs.ext4', ['-q', '-F', file], { env })
    await app.call('PUT', '/api/images/volumes', diskOfGroup(await readFile(file)))
    const { page, assertQuiet } = await open('/images/volumes')
    await page.getByRole('button', { name: 'Look' }).click()
    await page.getByText('Volume vg/split: /, 1 entry').waitFor()
    await page.getByRole('combobox', { name: 'Logical volume' }).click()
    await page.getByRole('option', { name: 'vg/fast' }).click()
    await page.getByText('Volume vg/fast: /, 1 entry').waitFor()
    assertQuiet()
  })
})
