import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import type { Run } from '#protocol/run.ts'
import { run as runCommand } from '#lab/command.ts'
import { goldenImage } from '#lab/golden-images.ts'
import { GOLDEN_MAC } from '#lab/golden-recipes.ts'
import type { GoldenName } from '#lab/golden-recipes.ts'
import {
  askSystem,
  createLabDisk,
  openLab,
  openLabMachine,
  orderRun,
  runToSuccess,
} from '#lab/scenario.ts'
import type { Lab, SystemFacts } from '#lab/scenario.ts'
import { assertInstalled, assertVerified, TARGET_BYTES } from '#test/support/installed-system.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'
const UPLOAD_TIMEOUT_MS = 5 * 60_000

/** MBR, BIOS and virtio are what an operator has in operator.e2e.ts. */
describe('deployments in virtual machines', { skip: NEEDS_ROOT }, () => {
  before(async () => {
    for (const name of ['a', 'c'] as const)
      await goldenImage(name, (message) => process.stderr.write(`${message}\n`))
  })

  it('a captured machine becomes two that share nothing but the image', () =>
    inLab(async (lab) => {
      await captureOriginal(lab)
      const first = await deployAndAsk(lab, {
        name: 'sata-bios',
        mac: '52:54:00:5a:01:01',
        image: 'captured',
        firmware: 'bios',
        bus: 'sata',
      })
      const second = await deployBesideOlderClone(lab)

      assert.notEqual(first.machineId, second.machineId)
      assert.notEqual(first.hostKey, second.hostKey)
      assert.notEqual(first.address, second.address)
    }))

  it('an uploaded image with GPT and XFS is deployed under UEFI though the server is killed meanwhile', () =>
    inLab(async (lab) => {
      await upload(lab, 'c')
      let restarted: Promise<void> | undefined
      await deployAndAsk(lab, {
        name: 'virtio-uefi',
        mac: '52:54:00:5a:01:03',
        image: 'c',
        firmware: 'uefi',
        bus: 'virtio',
        onProgress({ steps }) {
          const write = steps.find(({ name }) => name === 'write-image')
          if (write && write.bytesDone > 0) restarted ??= restart(lab)
        },
      })
      assert.ok(restarted, 'The server was not killed while the image was written')
      await restarted
    }))
})

/**
 * Each test has a server of its own, for one of them kills it: firmware that asks for its boot script
 * at that moment gives up, as it does on real machines.
 */
async function inLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(tmpdir(), 'stampede-e2e-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await work(opened.use(await openLab(folder)))
}

async function captureOriginal(lab: Lab): Promise<void> {
  const order = { mac: GOLDEN_MAC, workflow: 'capture', image: 'captured' } as const
  const { id } = await orderRun(lab, 'original', order)
  const disk = await createLabDisk(lab, { machine: 'original', bus: 'virtio', content: 'a' })
  await using machine = await openLabMachine(lab, {
    name: 'original',
    mac: GOLDEN_MAC,
    firmware: 'bios',
    disks: [disk],
  })
  await runToSuccess(lab, machine, id)
}

type Target = {
  name: string
  mac: string
  image: string
  firmware: 'bios' | 'uefi'
  bus: 'virtio' | 'sata' | 'nvme'
  onProgress?: (run: Run) => void
}

async function restart({ server }: Lab): Promise<void> {
  await server.kill()
  await server.start()
}

/** Deploys to a blank machine with one disk, which then boots from it. */
async function deployAndAsk(lab: Lab, target: Target): Promise<SystemFacts> {
  const { name, mac, image, firmware, bus, onProgress } = target
  const order = { mac, workflow: 'deploy', image } as const
  const { id } = await orderRun(lab, name, order)
  const content = { blankBytes: TARGET_BYTES }
  const disk = await createLabDisk(lab, { machine: name, bus, content })
  await using machine = await openLabMachine(lab, { name, mac, firmware, disks: [disk] })
  assertVerified(await runToSuccess(lab, machine, id, onProgress))
  const facts = await askSystem(machine)
  assertInstalled(facts, name)
  return facts
}

/**
 * The machine's second disk is an older clone of the same image: same volume group, UUIDs and
 * labels. The deployment must leave it alone, and it is pulled out before the new system boots.
 */
async function deployBesideOlderClone(lab: Lab): Promise<SystemFacts> {
  const name = 'nvme-uefi'
  const mac = '52:54:00:5a:01:04'
  const content = { blankBytes: TARGET_BYTES }
  const target = await createLabDisk(lab, { machine: name, bus: 'nvme', content })
  const clone = await createLabDisk(lab, {
    machine: name,
    bus: 'virtio',
    name: 'older',
    content: 'a',
  })
  const order = {
    mac,
    workflow: 'deploy',
    image: 'captured',
    disk: { serial: target.serial },
    after: 'poweroff',
  } as const
  const { id } = await orderRun(lab, name, order)
  {
    const disks = [target, clone]
    await using machine = await openLabMachine(lab, { name, mac, firmware: 'uefi', disks })
    assertVerified(await runToSuccess(lab, machine, id))
    await machine.kill()
    const golden = await goldenImage('a')
    await runCommand('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', golden, clone.file])
  }
  await using machine = await openLabMachine(lab, { name, mac, firmware: 'uefi', disks: [target] })
  const facts = await askSystem(machine)
  assertInstalled(facts, name)
  return facts
}

async function upload(lab: Lab, name: GoldenName): Promise<void> {
  const { url, token } = lab.server.api
  const response = await fetch(new URL(`/api/images/${name}`, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: createReadStream(await goldenImage(name)),
    duplex: 'half',
    signal: AbortSignal.timeout(UPLOAD_TIMEOUT_MS),
  })
  assert.equal(response.status, 201, await response.text())
}
