import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { run as runCommand } from '#lab/command.ts'
import { goldenImage } from '#lab/golden-images.ts'
import { GOLDEN_MAC } from '#lab/golden-recipes.ts'
import { askSystem, createLabDisk, openLabMachine, orderRun, runToSuccess } from '#lab/scenario.ts'
import type { Lab, SystemFacts } from '#lab/scenario.ts'
import { assertInstalled, assertVerified, TARGET_BYTES } from '#test/support/installed-system.ts'
import { deployAndAsk, inLab } from '#test/support/lab-deployment.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'

/** MBR, BIOS and virtio are what an operator has in operator.e2e.ts. */
describe('a captured image in virtual machines', { skip: NEEDS_ROOT }, () => {
  before(async () => {
    await goldenImage('a', (message) => process.stderr.write(`${message}\n`))
  })

  it('makes two machines of one that share nothing but the image', () =>
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
})

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
