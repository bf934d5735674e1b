import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FileChooser, Locator, Page } from 'playwright-core'
import type { Image } from '#protocol/image/image-info.ts'
import { diskContent, sha256 } from '#test/support/disk-content.ts'
import { mbrDisk } from '#test/support/mbr-disk.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { assertGoodLooks, openBrowser, signIn, type TestBrowser } from './browser.ts'

/** More than one piece of an upload, so that a link can be lost between two. */
const CHUNKS = 40
const SETTLED_MILLISECONDS = 30_000

/** What is around it may move until the page has settled for its width. */
async function assertWithin(element: Locator, width: number): Promise<void> {
  const deadline = Date.now() + SETTLED_MILLISECONDS
  for (;;) {
    const box = await element.boundingBox()
    if (box && box.x >= 0 && box.x + box.width <= width) return
    assert.ok(Date.now() < deadline, JSON.stringify(box))
    await sleep(20)
  }
}

/** In the dialog of an upload, which is open then. */
async function chooseFile(page: Page, file: Parameters<FileChooser['setFiles']>[0]): Promise<void> {
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
  const chooser = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Choose files' }).click()
  await (await chooser).setFiles(file)
}

describe('the image library', () => {
  let app: SeededApp
  let browser: TestBrowser
  const disk = diskContent({ chunks: CHUNKS })
  before(async () => {
    app = await openSeededApp({ machines: 6 })
    browser = await openBrowser()
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  async function openImages() {
    const opened = await browser.open()
    await signIn(opened.page, app.lanUrl)
    await opened.page.goto(`${app.lanUrl}/images`)
    await opened.page.getByRole('heading', { name: 'Images' }).waitFor()
    return opened
  }

  async function upload(name: string): Promise<void> {
    const url = `${app.url}/api/images/${name}`
    const headers = { authorization: 'Bearer admin-token-of-the-tests' }
    const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(disk) })
    assert.equal(answer.status, 201)
  }

  it('takes a file, goes on after a lost link, and ends as the same disk', async () => {
    const { page, context, assertQuiet } = await openImages()
    let pieces = 0
    const seen = Promise.withResolvers<void>()
    await context.route('**/api/uploads/*', async (route) => {
      // It waits until it knows where the server stands, which is not before that was looked at.
      if (route.request().method() === 'HEAD') await seen.promise
      if (route.request().method() !== 'PATCH') return await route.continue()
      pieces++
      // The second piece never arrives.
      if (pieces === 2) return await route.abort('connectionreset')
      await route.continue()
    })
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-upload-'))
    const file = join(folder.path, 'My Lab.img')
    await writeFile(file, disk)
    await chooseFile(page, file)
    const name = page.getByLabel('Name of My Lab.img')
    assert.equal(await name.inputValue(), 'my-lab')
    await name.fill('My Lab')
    await page.getByText('Small letters, digits').waitFor()
    await name.fill('my-lab')
    await page.getByLabel('Description').fill('Made by hand')
    await page.getByRole('dialog').getByRole('button', { name: 'Upload' }).click()
    const row = page.getByLabel('Uploads', { exact: true })
    await row.getByText('it goes on by itself').waitFor()
    seen.resolve()
    await row.getByRole('link', { name: 'my-lab' }).waitFor()
    assert.ok(pieces > 2)
    const { body } = await app.call<Image>('GET', '/api/images/my-lab')
    assert.equal(body.sizeBytes, disk.length)
    assert.equal(body.description, 'Made by hand')
    const exported = await fetch(`${app.url}/images/my-lab.img.gz`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests' },
    })
    const plain = gunzipSync(await exported.arrayBuffer())
    assert.equal(sha256(plain), sha256(disk))
    assertQuiet()
  })

  it('says what the server refuses, and nothing is left', async () => {
    const { page } = await openImages()
    await chooseFile(page, { name: 'odd.img', mimeType: '', buffer: Buffer.alloc(700) })
    await page.getByRole('dialog').getByRole('button', { name: 'Upload' }).click()
    await page.getByLabel('Uploads', { exact: true }).getByText('512').waitFor()
    assert.equal((await app.call('GET', '/api/images/odd')).status, 404)
  })

  it('looks good in light and dark, from phone to wide screen', async () => {
    await upload('looks')
    const { page, assertQuiet } = await openImages()
    await page.getByRole('link', { name: 'looks' }).waitFor()
    await assertGoodLooks(page)
    await page.getByRole('link', { name: 'looks' }).click()
    await page.getByRole('heading', { name: 'Layout' }).waitFor()
    await assertGoodLooks(page)
    assertQuiet()
  })

  it('is read on a phone without anything to scroll sideways', async () => {
    await upload('narrow')
    const { page, assertQuiet } = await openImages()
    await page.setViewportSize({ width: 390, height: 800 })
    const images = page.getByRole('list', { name: 'List of images' })
    await assertWithin(images.getByRole('listitem').filter({ hasText: 'narrow' }), 390)
    await images.getByRole('link', { name: 'narrow' }).click()
    const actions = page
      .getByRole('list', { name: 'List of versions' })
      .getByRole('button', { name: 'Actions for version 1' })
    await assertWithin(actions, 390)
    await actions.click()
    await page.getByRole('menuitem', { name: 'Deploy it' }).waitFor()
    assertQuiet()
  })

  it('renames and describes an image, and machines follow', async () => {
    await upload('before')
    await app.call('PUT', '/api/machines/52:54:00:00:aa:01', { name: 'desk', image: 'before' })
    const { page } = await openImages()
    await page.getByRole('link', { name: 'before' }).click()
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Name', { exact: true }).fill('afterwards')
    await page.getByText('follow the new name').waitFor()
    await page.getByLabel('Description').fill('For the desks')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { name: 'afterwards', level: 1 }).waitFor()
    await page.getByText('For the desks').waitFor()
    const { body } = await app.call<{ image: string }>('GET', '/api/machines/52:54:00:00:aa:01')
    assert.equal(body.image, 'afterwards')
  })

  it('deletes an image when its name was typed, and says whose it was', async () => {
    await upload('doomed')
    await app.call('PUT', '/api/machines/52:54:00:00:aa:02', { name: 'shelf', image: 'doomed' })
    const { page } = await openImages()
    await page.getByRole('link', { name: 'doomed' }).click()
    await page.getByRole('link', { name: 'shelf' }).waitFor()
    await page.getByRole('button', { name: 'Delete the image' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The machine that it is assigned to has no image then').waitFor()
    const confirm = dialog.getByRole('button', { name: 'Delete the image' })
    assert.ok(await confirm.isDisabled())
    await dialog.getByRole('textbox').fill('doomed')
    await confirm.click()
    await page.waitForURL('**/images')
    assert.equal((await app.call('GET', '/api/images/doomed')).status, 404)
  })

  it('says who uses an image as it is now, whoever changed that', async () => {
    await upload('in-use')
    const mac = '52:54:00:00:aa:03'
    await app.call('PUT', `/api/machines/${mac}`, { name: 'bench' })
    const { page } = await openImages()
    await page.getByRole('link', { name: 'in-use' }).click()
    const remove = page.getByRole('button', { name: 'Delete the image' })
    await remove.waitFor()
    await app.call('PATCH', `/api/machines/${mac}`, { image: 'in-use' })
    await page.getByRole('link', { name: 'bench' }).waitFor()
    const { body: run } = await app.call<{ id: string }>('POST', '/api/runs', {
      mac,
      workflow: 'deploy',
    })
    await page.getByText('It cannot be deleted while a run works with it').waitFor()
    await app.call('POST', `/api/runs/${run.id}/cancel`)
    await page.getByText('Deleting cannot be undone').waitFor()
    await app.call('DELETE', `/api/machines/${mac}`)
    await page.getByRole('link', { name: 'bench' }).waitFor({ state: 'detached' })
  })

  it('takes no empty file, and says why', async () => {
    const { page } = await openImages()
    await chooseFile(page, { name: 'empty.img', mimeType: '', buffer: Buffer.alloc(0) })
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The file is empty').waitFor()
    assert.equal(await dialog.getByRole('button', { name: 'Upload' }).isDisabled(), true)
  })

  it('shows the longest name and a description without blanks within the page', async () => {
    const name = `windows-11-${'for-the-rooms-of-the-second-floor-'.repeat(4)}`.slice(0, 128)
    await upload(name)
    await app.call('PATCH', `/api/images/${name}`, { description: 'ö'.repeat(300) })
    const { page } = await openImages()
    await page.goto(`${app.lanUrl}/images/${name}`)
    const download = page.getByRole('link', { name: `Download ${name}.img.gz` })
    for (const width of [390, 1440]) {
      await page.setViewportSize({ width, height: 900 })
      await assertWithin(download, width)
      await assertWithin(page.getByText('öööö'), width)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
    }
  })

  it('says what is on an image, one partition as well as content without any', async () => {
    const put = (name: string, bytes: Uint8Array) => app.call('PUT', `/api/images/${name}`, bytes)
    await put('partitioned', mbrDisk([{ startMib: 1, sizeMib: 1 }]))
    await put('unpartitioned', diskContent())
    const { page } = await openImages()
    await page.goto(`${app.lanUrl}/images/partitioned`)
    await page.getByText(/^MBR, 3\.15 MB, 1 partition$/).waitFor()
    await page.goto(`${app.lanUrl}/images/unpartitioned`)
    await page.getByText('Layout unknown').waitFor()
  })

  it('makes a line for curl that works without a token', async () => {
    await upload('linked')
    const { page } = await openImages()
    await page.getByRole('link', { name: 'linked' }).click()
    await page.getByRole('button', { name: 'Make a link for curl' }).click()
    const line = await page.getByText('curl -f http').textContent()
    const url = /http\S+/.exec(line!)![0]
    const answer = await fetch(url)
    assert.equal(answer.status, 200)
    await answer.body?.cancel()

    await page.reload()
    const links = page.getByRole('list', { name: 'Links that are good' })
    await links
      .getByText(/^Made by maria (just now|\d+ s ago), used (just now|\d+ s ago), ends in 1 d$/)
      .waitFor()
    await assertGoodLooks(page)
    await links.getByRole('button', { name: 'Revoke' }).click()
    const dialog = page.getByRole('dialog', { name: 'Revoke the link' })
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await links.waitFor({ state: 'detached' })
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 404)
    await page.getByRole('button', { name: 'Delete the image' }).click()
    assert.equal(await page.getByText('Links to it open nothing').count(), 0)
  })
})
