import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Plan } from '#protocol/run/plan.ts'
import type { Run } from '#protocol/run/run.ts'
import { run as runCommand } from '#lab/command.ts'
import type { Disk } from '#lab/disk.ts'
import { createBlankDisk } from '#lab/disk.ts'
import { fileHash } from '#lab/disk-content.ts'
import { openLab, openLabMachine, runToSuccess } from '#lab/scenario.ts'
import type { Lab } from '#lab/scenario.ts'
import { AGENT_ENTRY } from '../../agent/build.ts'
import { buildInitramfs } from '../../initramfs/build.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'
const MAC = '52:54:00:5a:16:01'
const MIB = 1024 ** 2
const DISK_BYTES = 64 * MIB
/** Software emulation on a busy machine: some 20 s are usual. */
const BOOT_DEADLINE_MS = 5 * 60_000
const POLL_MS = 500

describe('a machine that is not as its plan says', { skip: NEEDS_ROOT }, () => {
  let folder: string
  let lab: Lab
  let disk: Disk
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-plan-guard-'))
    await buildInitramfs({
      agentEntry: AGENT_ENTRY,
      outputFolder: path.join(folder, 'server/data/boot'),
      firmware: true,
      refresh: false,
    })
    lab = await openLab(folder)
    await upload(lab, 'sample', randomBytes(8 * MIB))
    disk = await createBlankDisk({
      file: path.join(folder, 'disk.raw'),
      sizeBytes: DISK_BYTES,
      bus: 'sata',
      serial: 'PLANNED-1',
    })
    await runCommand('mkfs.ext4', ['-q', '-F', '-L', 'precious', disk.file])
    await takeInventory(lab, disk)
  })
  after(async () => {
    await lab?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  it('stays untouched with another serial', async () => {
    const { id } = await startPlanned(lab)
    disk = { ...disk, serial: 'SWAPPED-2' }
    await assertUntouched(lab, disk, id, /Disk serial is "SWAPPED-2" but the plan said "PLANNED-1"/)
  })

  it('stays untouched with another size', async () => {
    const { id } = await startPlanned(lab)
    await truncate(disk.file, DISK_BYTES + 8 * MIB)
    await assertUntouched(
      lab,
      disk,
      id,
      /Disk size is 75\.5 MB \(75497472 bytes\) but the plan said 67\.1 MB \(67108864 bytes\)/,
    )
  })

  it('stays untouched with another content', async () => {
    const { id } = await startPlanned(lab)
    await runCommand('e2label', [disk.file, 'irreplaceable'])
    await assertUntouched(lab, disk, id, /What is on the disk .* is not what the plan said/)
  })

  it('is deployed once it is as planned, and then known as it is now', async () => {
    const run = await startPlanned(lab)
    await using machine = await openGuardedMachine(lab, disk)
    const { receipt } = await runToSuccess(lab, machine, run.id)
    await machine.kill()
    assert.equal(receipt?.imageVerified, true)
    const [item] = (await makePlan(lab)).items
    assert.deepEqual(item?.problems, [])
    assert.equal(item?.present?.fileSystem, undefined)
    const codes = item?.warnings.map(({ code }) => code)
    assert.ok(!codes?.includes('content-unknown'), JSON.stringify(item?.warnings))
  })
})

function openGuardedMachine(lab: Lab, disk: Disk) {
  return openLabMachine(lab, {
    name: 'guarded',
    mac: MAC,
    firmware: 'bios',
    disks: [disk],
    memoryMib: 768,
  })
}

/** Nobody knows the machine yet, so that it is only looked at. */
async function takeInventory(lab: Lab, disk: Disk): Promise<void> {
  await using machine = await openGuardedMachine(lab, disk)
  const { api, logTail } = lab.server
  const deadline = Date.now() + BOOT_DEADLINE_MS
  for (;;) {
    const found = await api.get<Machine>(`/api/machines/${MAC}`).catch(() => undefined)
    if (found?.inventory) return
    if (Date.now() > deadline)
      throw new Error(`No inventory came:\n${await machine.console.tail()}\n${await logTail()}`)
    await sleep(POLL_MS)
  }
}

function makePlan({ server }: Lab): Promise<Plan> {
  const settings = { image: 'sample', grow: false, identity: 'keep', after: 'poweroff' }
  return server.api.post<Plan>('/api/plans', { workflow: 'deploy', macs: [MAC], ...settings })
}

/** Plans as the disk is on record, and says yes. */
async function startPlanned(lab: Lab): Promise<Run> {
  const plan = await makePlan(lab)
  assert.deepEqual(plan.items[0]?.problems, [])
  assert.match(plan.items[0]?.losses.join() ?? '', /^ext4 "\w+" on the whole disk/)
  const { id, confirmation } = plan
  return lab.server.api.post<Run>('/api/runs', { plan: id, confirmation })
}

/** Boots the machine and sees its run fail for this reason, with the disk as it was. */
async function assertUntouched(lab: Lab, disk: Disk, id: string, reason: RegExp): Promise<void> {
  const before = await fileHash(disk.file)
  await using machine = await openGuardedMachine(lab, disk)
  const deadlineMs = BOOT_DEADLINE_MS
  const run = await lab.server.api.waitForRun(id, { deadlineMs })
  assert.equal(run.state, 'failed', await machine.console.tail())
  assert.match(run.error ?? '', reason)
  // The machine says it, too, to whoever stands in front of it.
  await machine.console.waitFor(/not as planned/, { deadlineMs })
  await machine.kill()
  assert.equal(await fileHash(disk.file), before)
}

async function upload({ server }: Lab, name: string, content: Buffer): Promise<void> {
  const response = await fetch(new URL(`/api/images/${name}`, server.api.url), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${server.api.token}`,
      'content-type': 'application/octet-stream',
    },
    body: new Uint8Array(content),
    signal: AbortSignal.timeout(60_000),
  })
  assert.equal(response.status, 201, await response.text())
}
