import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eq } from 'drizzle-orm'
import type { Page } from 'playwright-core'
import { parseMac } from '#protocol/mac.ts'
import { runs } from '#server/db/schema.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import { diskContent } from '#test/support/disk-content.ts'
import { mbrDisk } from '#test/support/mbr-disk.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'
import { bootToken, hello, startAgent } from '#test/support/test-agent.ts'
import {
  assertAccessible,
  assertGoodLooks,
  openBrowser,
  signIn,
  type TestBrowser,
  type TestPage,
} from './browser.ts'
import { holdEnter, press, untilFocused, watchChanges } from './keyboard.ts'

const IMAGE = 'small'
const CONTENT = createDisk({
  model: 'QEMU HARDDISK',
  partitionTable: { type: 'gpt' },
  partitions: [
    {
      number: 1,
      path: '/dev/vda1',
      startBytes: 1_048_576,
      sizeBytes: 10_737_418_240,
      fileSystem: { type: 'ext4', label: 'homework' },
    },
  ],
})

describe('a plan and its run', () => {
  let app: SeededApp
  let browser: TestBrowser
  let opened: TestPage
  let page: Page
  before(async () => {
    app = await openSeededApp({ machines: 6, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    const answer = await fetch(`${app.url}/api/images/${IMAGE}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      body: new Uint8Array(diskContent()),
    })
    assert.equal(answer.status, 201)
    browser = await openBrowser()
    opened = await browser.open()
    page = opened.page
    await signIn(page, app.lanUrl)
  })
  after(async () => {
    await browser[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  /** A machine whose agent told what is on its only disk. */
  async function addMachine(mac: string, name: string, disk = CONTENT): Promise<void> {
    await hello(app, mac, await bootToken(app, mac), createInventory({ disks: [disk] }))
    await app.call('PUT', `/api/machines/${mac}`, { name })
  }

  /** From the plan page to the run's. */
  async function deploy(mac: string, name: string): Promise<void> {
    await page.goto(`${app.lanUrl}/plan?workflow=deploy&image=${IMAGE}&macs=${mac}`)
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page.getByText('ext4 "homework", 10.7 GB').waitFor()
    await page.getByText(/serial disk-1/).waitFor()
    await page.getByRole('button', { name: 'Deploy …' }).click()
    const dialog = page.getByRole('dialog')
    const start = dialog.getByRole('button', { name: 'Deploy', exact: true })
    await dialog.getByRole('textbox').fill('another-name')
    assert.ok(await start.isDisabled())
    await dialog.getByRole('textbox').fill(name)
    await start.click()
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}$/)
  }

  it('keeps what else a plan asks for near, however many machines are chosen', async () => {
    const macs = Array.from({ length: 90 }, (_, index) => `52:54:00:00:77:${10 + index}`)
    await page.setViewportSize({ width: 390, height: 844 })
    await page.goto(`${app.lanUrl}/plan?workflow=deploy&macs=${macs.join(',')}`)
    await page.getByText('90 machines').waitFor()
    const image = await page.getByRole('combobox', { name: 'Image' }).boundingBox()
    assert.ok(image!.y < 844, `The image is asked for at ${image!.y} pixels`)
    // The field to search in is at the end of those that are chosen, and comes into sight.
    const field = page.getByRole('combobox', { name: 'Machines' })
    await field.focus()
    await page.keyboard.type('rack')
    const typed = (await field.boundingBox())!
    assert.ok(typed.y + typed.height <= image!.y, `${typed.y} is below ${image!.y}`)
    await page.keyboard.press('Escape')
    await assertGoodLooks(page)
    await page.setViewportSize({ width: 1280, height: 720 })
  })

  it('leads back to what was chosen', async () => {
    await page.goto(`${app.lanUrl}/plan?workflow=wipe`)
    const machines = page.getByRole('combobox', { name: 'Machines' })
    await machines.fill('rack1-node06')
    await page.getByRole('option', { name: /^rack1-node06/ }).click()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page.getByRole('heading', { name: 'Wipe rack1-node06' }).waitFor()
    await page.goBack()
    await machines.waitFor()
    await page.getByText(/^rack1-node06 \(/).waitFor()
  })

  it('say on screen what differs from the plan, and nothing is written', async () => {
    const mac = '52:54:00:00:cc:01'
    await addMachine(mac, 'guarded')
    await deploy(mac, 'guarded')
    const disks = [{ ...CONTENT, serial: 'another' }]
    const answer = await hello(app, mac, await bootToken(app, mac), createInventory({ disks }))
    assert.equal(answer.status, 409)
    await page
      .getByText(/serial is "another" but the plan said "disk-1"/)
      .first()
      .waitFor()
    await page.getByText('Failed', { exact: true }).first().waitFor()
    await assertGoodLooks(page)
    opened.assertQuiet()
  })

  it('do not call a disk empty that cannot be read', async () => {
    const mac = '52:54:00:00:cc:08'
    const layoutError = 'its beginning cannot be read: EIO'
    await addMachine(mac, 'unread', createDisk({ layoutError }))
    await page.goto(`${app.lanUrl}/machines/${mac}`)
    const bar = page.getByRole('list', { name: /^Disk/ })
    await bar.filter({ hasText: 'Not known' }).waitFor()
    await page.getByText(`What is on it is not known: ${layoutError}`).waitFor()
    await page.goto(`${app.lanUrl}/plan?workflow=deploy&image=${IMAGE}&macs=${mac}`)
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await bar.filter({ hasText: 'Not known' }).waitFor()
    await page.getByText(`What is on the disk is not known: ${layoutError}`).waitFor()
  })

  it('show the partitions of the very version that is deployed', async () => {
    const mac = '52:54:00:00:cc:09'
    await addMachine(mac, 'versioned')
    const first = { startMib: 1, sizeMib: 1 }
    await app.call('PUT', '/api/images/rooms', mbrDisk([first]))
    await app.call('PUT', '/api/images/rooms', mbrDisk([first, { startMib: 2, sizeMib: 1 }]))
    const after = page.getByRole('list', { name: /^Disk afterwards/ })
    for (const [image, partitions] of [
      ['rooms', 2],
      ['rooms@1', 1],
    ] as const) {
      const query = new URLSearchParams({ workflow: 'deploy', image, macs: mac })
      await page.goto(`${app.lanUrl}/plan?${query.toString()}`)
      await page.getByRole('button', { name: 'Show the plan' }).click()
      const drawn = after.getByRole('listitem', { name: /^Partition/ })
      await drawn.nth(partitions - 1).waitFor()
      assert.equal(await drawn.count(), partitions)
    }
  })

  it('of a capture say that the image of that name gets a version more', async () => {
    await page.goto(`${app.lanUrl}/plan?workflow=capture&image=${IMAGE}`)
    await page.getByText('becomes its next version, which the name stands for at once').waitFor()
  })

  it('are followed as they go, in two tabs, to a receipt that can be printed', async () => {
    const mac = '52:54:00:00:cc:02'
    await addMachine(mac, 'followed')
    await deploy(mac, 'followed')
    const second = await opened.context.newPage()
    await second.goto(page.url())
    await second.getByText('Queued', { exact: true }).first().waitFor()

    const agent = await startAgent(app, mac, createInventory({ disks: [CONTENT] }))
    await agent.log(0, ['Reads the partition table'])
    const writing = { step: 'write-image', state: 'running', bytesTotal: 1_000_000_000 } as const
    await agent.report({ ...writing, bytesDone: 400_000_000, bytesPerSecond: 100_000_000 })
    for (const tab of [page, second]) {
      await tab.getByText('Running', { exact: true }).first().waitFor()
      await tab.getByText(/400 MB of 1\.00 GB to write and read back/).waitFor()
    }
    await page.getByText('Reads the partition table').waitFor()
    await assertGoodLooks(page)

    const at = new Date().toISOString()
    const receipt = { imageName: IMAGE, imageVerified: true, bytesWritten: 1_000_000_000 }
    await agent.result({
      state: 'succeeded',
      receipt: { ...receipt, warnings: [], startedAt: at, finishedAt: at },
    })
    for (const tab of [page, second])
      await tab.getByText('Succeeded', { exact: true }).first().waitFor()
    await page.getByRole('link', { name: 'Receipt' }).click()
    await page
      .getByRole('heading', { name: /Receipt for/ })
      .first()
      .waitFor()
    await assertGoodLooks(page)
    await second.close()
    opened.assertQuiet()
  })

  it('are told to be silent, without each second of that being read out', async () => {
    const mac = '52:54:00:00:cc:04'
    await addMachine(mac, 'silent')
    await deploy(mac, 'silent')
    await startAgent(app, mac, createInventory({ disks: [CONTENT] }))
    const heardAt = new Date(Date.now() - 60_000)
    const silent = { lastReportAt: heardAt, attemptAt: heardAt }
    await app.database.db
      .update(runs)
      .set(silent)
      .where(eq(runs.mac, parseMac(mac)))
    await page.reload()
    const counted = page.getByRole('status').getByText(/^No report for \d+ s/)
    await counted.waitFor()
    const live = await counted.evaluate((text) =>
      text.closest('[aria-live], [role="status"]')?.getAttribute('aria-live'),
    )
    assert.equal(live, 'off')
  })

  it('are told by the clock of the server, whatever that of the browser says', async () => {
    const mac = '52:54:00:00:cc:05'
    await addMachine(mac, 'punctual')
    for (const hours of [-30, 30]) {
      const wrong = await browser.open()
      await wrong.page.clock.install({ time: Date.now() + hours * 3_600_000 })
      await signIn(wrong.page, app.lanUrl)
      await wrong.page.goto(`${app.lanUrl}/plan?workflow=deploy&image=${IMAGE}&macs=${mac}`)
      await wrong.page.getByRole('button', { name: 'Show the plan' }).click()
      await wrong.page.getByText(/^Made (just now|\d+ s ago) by maria/).waitFor()
      await wrong.page.getByRole('button', { name: 'Deploy …' }).waitFor()
      await wrong.context.close()
    }
  })

  it('are made, started and cancelled by the keyboard alone, and once', async () => {
    const mac = '52:54:00:00:cc:03'
    await addMachine(mac, 'typed')
    await page.goto(`${app.lanUrl}/plan?workflow=deploy&image=${IMAGE}`)
    const show = page.getByRole('button', { name: 'Show the plan' })
    await press(page, show)
    const machines = page.getByRole('combobox', { name: 'Machines' })
    await untilFocused(machines)
    await page.getByText('Choose at least one machine').waitFor()
    await assertAccessible(page)
    await untilFocused(machines)
    await page.keyboard.type('typed')
    await page.getByRole('option', { name: /^typed/ }).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Escape')
    const changes = watchChanges(page)
    await press(page, show)
    const start = page.getByRole('button', { name: 'Deploy …' })
    await start.waitFor()
    await untilFocused(page.getByRole('main'))
    await press(page, start)
    await untilFocused(page.getByRole('dialog').getByRole('textbox'))
    await page.keyboard.press('Escape')
    await untilFocused(start)
    await page.keyboard.press('Enter')
    await untilFocused(page.getByRole('dialog').getByRole('textbox'))
    await page.keyboard.type('typed')
    await holdEnter(page)
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}$/)
    assert.deepEqual(changes.splice(0), ['POST /api/plans', 'POST /api/runs'])

    // Not the one in the dialog of the page before, which is still there for a moment.
    const cancel = page.getByRole('main').getByRole('button', { name: 'Cancel', exact: true })
    await press(page, cancel)
    await page.getByRole('dialog', { name: 'Cancel the run on typed?' }).waitFor()
    await page.keyboard.press('Escape')
    await untilFocused(cancel)
    await page.keyboard.press('Enter')
    await press(page, page.getByRole('button', { name: 'Cancel the run' }))
    await page.getByText('Cancelled', { exact: true }).first().waitFor()

    // What was planned has been done since: that is said where it is seen, and read out.
    await page.goto(`${app.lanUrl}/plan?workflow=deploy&image=${IMAGE}&macs=${mac}`)
    await press(page, show)
    await start.waitFor()
    const plan = new URL(page.url()).pathname.split('/').at(-1)
    await app.call('POST', '/api/runs', { plan, confirmation: 'typed' })
    await press(page, start)
    await untilFocused(page.getByRole('dialog').getByRole('textbox'))
    await page.keyboard.type('typed')
    await page.keyboard.press('Enter')
    await untilFocused(page.getByRole('alert').filter({ hasText: 'Nothing was started' }))
    opened.assertQuiet()
  })
})
