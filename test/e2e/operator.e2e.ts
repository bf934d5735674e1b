import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import type { Run } from '#protocol/run/run.ts'
import type { Disk } from '#lab/disk.ts'
import { goldenImage } from '#lab/golden-images.ts'
import type { Machine } from '#lab/machine.ts'
import {
  askSystem,
  createLabDisk,
  openLab,
  openLabMachine,
  RUN_DEADLINE_MS,
  runToSuccess,
} from '#lab/scenario.ts'
import type { Lab } from '#lab/scenario.ts'
import { assertInstalled, assertVerified, TARGET_BYTES } from '#test/support/installed-system.ts'
import { openLabBrowser } from '../web/lab-browser.ts'
import {
  addViewer,
  assertNoControls,
  awaitedIn,
  createFirstAccount,
  runShown,
  watchRows,
} from '../web/operator-screens.ts'
import {
  assertAccessible,
  chooseColors,
  COLOR_SCHEMES,
  signIn,
  type TestBrowser,
} from '../web/browser.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'
const OPERATOR = { name: 'maria', password: 'a sentence that nobody guesses' }
const VIEWER = { name: 'victor', password: 'only here to have a look' }
const ORIGINAL = { name: 'original', mac: '52:54:00:5a:02:01' }
const CLONE = { name: 'clone', mac: '52:54:00:5a:02:02' }
const IMAGE = 'captured-by-hand'
const HOSTNAME = 'lab-7'
/** Of a page while virtual machines are emulated beside the browser; usually it is a second. */
const PAGE_DEADLINE_MS = 60_000
const BOOT_DEADLINE_MS = 5 * 60_000

/** What a machine that begins with its card's iPXE is waited for, in this order. */
const STAGES = ['Boot loader', 'iPXE', 'Boot script', 'Kernel', 'Agent']

/** What was asked of the server to change something: all of it has to be in the audit log. */
const CHANGES = [
  'setup.create',
  'user.create',
  'session.create',
  'plan.create',
  'run.create',
  'plan.create',
  'run.create',
]

describe('an operator with nothing but a browser', { skip: NEEDS_ROOT }, () => {
  let folder: string
  let lab: Lab
  let browser: TestBrowser
  const asked: string[] = []

  before(async () => {
    await goldenImage('b', (message) => process.stderr.write(`${message}\n`))
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-operator-'))
    lab = await openLab(folder)
    browser = await openLabBrowser(lab)
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await lab?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  async function openTab() {
    const opened = await browser.open()
    opened.context.setDefaultTimeout(PAGE_DEADLINE_MS)
    opened.context.on('response', (response) => {
      const request = response.request()
      if (!['GET', 'HEAD'].includes(request.method()))
        asked.push(`${request.method()} ${new URL(response.url()).pathname} ${response.status()}`)
    })
    return opened
  }

  it('captures one machine, deploys another and has the proof of it', async () => {
    const disks = await createDisks(lab)
    const { page, context, assertQuiet } = await openTab()
    await meetEmptyFleet(page, lab)
    await page.goto(`${lab.server.url}/settings/users`)
    await addViewer(page, VIEWER)
    const viewer = await openTab()
    await signIn(viewer.page, lab.server.url, VIEWER)
    const tabs = { page, fleet: await context.newPage(), viewer: viewer.page }

    await seeAppear(page, lab, { ...ORIGINAL, disk: disks.original })
    await tabs.fleet.goto(`${lab.server.url}/images`)
    await tabs.fleet.getByText('No images yet').waitFor()
    await planCapture(page)
    await watchCapture(lab, disks.original, tabs)

    await seeAppear(page, lab, { ...CLONE, disk: disks.clone })
    await planDeploy(tabs.fleet, lab)
    await readScript(page)
    await watchDeploy(lab, disks.clone, { ...tabs, page: tabs.fleet, fleet: page })
    await readReceipt(tabs.fleet)
    await readAudit(page, lab, asked)
    assertQuiet()
    viewer.assertQuiet()
  })
})

async function createDisks(lab: Lab): Promise<Record<'original' | 'clone', Disk>> {
  const blank = { blankBytes: TARGET_BYTES }
  return {
    original: await createLabDisk(lab, { machine: 'original', bus: 'virtio', content: 'b' }),
    clone: await createLabDisk(lab, { machine: 'clone', bus: 'virtio', content: blank }),
  }
}

async function meetEmptyFleet(page: Page, { server }: Lab): Promise<void> {
  const { url, api } = server
  await createFirstAccount(page, { url, adminToken: api.token, account: OPERATOR })
  assert.equal(await page.evaluate(() => window.isSecureContext), false)
  await page.getByRole('heading', { name: 'Waiting for the first machine' }).waitFor()
  await page.getByRole('heading', { name: 'DHCP: server' }).waitFor()
  await assertAccessibleInBoth(page)
}

/** Powers a machine on that nobody knows, sees it come in the table, and pulls its plug. */
async function seeAppear(page: Page, lab: Lab, subject: Subject): Promise<void> {
  await page.goto(`${lab.server.url}/machines`)
  await page.getByText(/Waiting for the first machine|^1 machine$/).waitFor()
  const readRows = await watchRows(page)
  const row = page.locator(`#machine-${subject.mac.replaceAll(':', '')}`)
  {
    await using machine = await openSubject(lab, subject)
    await explained(lab, machine, page, () =>
      row.getByText('Ready', { exact: true }).waitFor({ timeout: BOOT_DEADLINE_MS }),
    )
  }
  const rows = (await readRows()).filter((text) => text.includes(subject.mac))
  // It was there before a system ran on it, and its stages came one by one.
  const awaited = awaitedIn(rows)
  assert.equal(awaited.at(-1), 'Agent', JSON.stringify(rows))
  assert.deepEqual(
    awaited,
    STAGES.filter((stage) => awaited.includes(stage)),
  )
  assert.match(rows[0]!, /Discovered/)

  await row.getByRole('link').first().click()
  await page.getByRole('region', { name: 'Disks' }).getByText(subject.disk.serial).waitFor()
  await page.getByRole('region', { name: 'Inventory' }).getByText('QEMU').first().waitFor()
  await page
    .getByRole('img', { name: 'came' })
    .nth(STAGES.length - 2)
    .waitFor()
  await assertAccessibleInBoth(page)
}

async function planCapture(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Capture', exact: true }).click()
  await page.getByLabel('Name of the image').fill(IMAGE)
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await page.getByText('Nothing is lost: no disk is written.').waitFor()
  await page.getByRole('list', { name: /^Disk .* now/ }).waitFor()
  await assertAccessibleInBoth(page)
  await page.getByRole('button', { name: 'Capture', exact: true }).click()
  await runShown(page)
}

type Tabs = Record<'page' | 'fleet' | 'viewer', Page>

/** The library, open in another tab, has the image without a reload. */
async function watchCapture(lab: Lab, disk: Disk, tabs: Tabs): Promise<void> {
  const id = await runShown(tabs.page)
  await using machine = await openSubject(lab, { ...ORIGINAL, disk })
  await explained(lab, machine, tabs.page, async () => {
    const run = runToSuccess(lab, machine, id)
    await Promise.all([run, watchRun(tabs, { machine: ORIGINAL, step: 'Read the disk' })])
  })
  const library = tabs.fleet
  await library.getByRole('link', { name: IMAGE }).click()
  await library.getByText(`capture of ${ORIGINAL.mac}`).first().waitFor()
  await assertAccessibleInBoth(library)
}

/** From the page of the image. Nothing starts before the hostname is typed. */
async function planDeploy(page: Page, lab: Lab): Promise<void> {
  await page.getByRole('link', { name: 'Deploy', exact: true }).click()
  await page.getByRole('combobox', { name: 'Machines' }).fill(CLONE.mac)
  await page.getByRole('option', { name: CLONE.mac }).click()
  await page.getByLabel('Hostname').fill(HOSTNAME)
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await page
    .getByText(/serial LAB-CLONE-DISK/)
    .first()
    .waitFor()
  await page.getByText(/grows from .* to /).waitFor()
  await assertAccessibleInBoth(page)
  await page.getByRole('button', { name: 'Deploy …' }).click()
  const dialog = page.getByRole('dialog')
  const button = dialog.getByRole('button', { name: 'Deploy', exact: true })
  await dialog.getByLabel(/Type the hostname/).fill('lab-8')
  assert.ok(await button.isDisabled())
  assert.deepEqual((await lab.server.api.get<{ items: Run[] }>('/api/runs?active=true')).items, [])
  await dialog.getByLabel(/Type the hostname/).fill(HOSTNAME)
  await assertAccessibleInBoth(page)
  await button.click()
  await runShown(page)
}

/** On the page of the machine, which is to be deployed at its next boot. */
async function readScript(page: Page): Promise<void> {
  const section = page.getByRole('region', { name: 'Boot script' })
  await section.getByRole('button', { name: 'Show' }).click()
  const script = section.locator('pre')
  await script.getByText('#!ipxe').waitFor()
  assert.match((await script.textContent()) ?? '', /stampede\.token=<token>/)
}

async function watchDeploy(lab: Lab, disk: Disk, tabs: Tabs): Promise<void> {
  const id = await runShown(tabs.page)
  await using machine = await openSubject(lab, { ...CLONE, disk })
  await explained(lab, machine, tabs.page, async () => {
    const run = runToSuccess(lab, machine, id)
    const watched = watchRun(tabs, { machine: CLONE, step: 'Write the image' })
    assertVerified((await Promise.all([run, watched]))[0])
    assertInstalled(await askSystem(machine), HOSTNAME)
    const page = tabs.fleet
    await page.goto(`${lab.server.url}/machines/${CLONE.mac}`)
    await page.getByText('Deployed', { exact: true }).first().waitFor()
    const boot = page.getByRole('region', { name: 'Boot', exact: true })
    await boot.getByText('local disk').waitFor()
    await page
      .getByRole('link', { name: `Deploy of ${IMAGE}` })
      .first()
      .waitFor()
  })
}

/** A run that goes on, as its own page, the fleet and a viewer see it, to its end. */
async function watchRun(
  { page, fleet, viewer }: Tabs,
  { machine, step }: { machine: { mac: string }; step: string },
): Promise<void> {
  const library = fleet.url()
  const atWork = { name: new RegExp(`^${step}, \\d+ % done`) }
  await Promise.all([viewer.goto(page.url()), fleet.goto(new URL('/runs/fleet', page.url()).href)])
  await page.getByRole('progressbar', atWork).waitFor({ timeout: BOOT_DEADLINE_MS })
  await page.getByRole('region', { name: 'Rate' }).locator('svg').first().waitFor()
  await page.getByRole('log').locator('div').first().waitFor()
  await viewer.getByRole('progressbar', atWork).waitFor()
  await assertNoControls(viewer, ['Cancel', 'Retry'])
  const tile = new RegExp(`${machine.mac.replaceAll(':', '-')}.*Running`)
  await fleet.getByRole('link', { name: tile }).waitFor()
  await assertAccessibleInBoth(fleet)
  await fleet.goto(library)
  await assertAccessibleInBoth(page)
  for (const each of [page, viewer])
    await each.getByRole('status').getByText('Succeeded').waitFor({ timeout: RUN_DEADLINE_MS })
}

async function readReceipt(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Receipt' }).click()
  await page.getByText('Image verified').waitFor()
  await page.getByText('LAB-CLONE-DISK', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Print' }).waitFor()
  await assertAccessibleInBoth(page)
}

/** Every change that was asked for is there, and nothing else that a person did. */
async function readAudit(page: Page, lab: Lab, asked: readonly string[]): Promise<void> {
  assert.equal(asked.length, CHANGES.length, asked.join('\n'))
  await page.goto(`${lab.server.url}/settings/audit`)
  const rows = page.getByRole('region', { name: 'Table of audit log' }).locator('tbody tr')
  await rows.first().waitFor()
  const actions = await rows
    .filter({ hasNotText: /agent, / })
    .locator('td:nth-child(3)')
    .allTextContents()
  assert.deepEqual(actions.toReversed(), CHANGES)
  await assertAccessibleInBoth(page)
}

type Subject = { name: string; mac: string; disk: Disk }

function openSubject(lab: Lab, { name, mac, disk }: Subject): Promise<Machine> {
  return openLabMachine(lab, { name, mac, firmware: 'bios', disks: [disk] })
}

/** Whatever goes wrong is told with what the machine, the server and the page said last. */
async function explained(
  lab: Lab,
  machine: Machine,
  page: Page,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (cause) {
    const said = await page.locator('body').innerText()
    const parts = [(cause as Error).message, await machine.console.tail(), said]
    throw new Error([...parts, await lab.server.logTail()].join('\n---\n'), { cause })
  }
}

async function assertAccessibleInBoth(page: Page): Promise<void> {
  for (const colorScheme of COLOR_SCHEMES) {
    await chooseColors(page, colorScheme)
    await assertAccessible(page)
  }
}
