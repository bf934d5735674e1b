import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Run } from '#protocol/run/run.ts'
import {
  askSystem,
  createLabDisk,
  openLab,
  openLabMachine,
  orderRun,
  runToSuccess,
} from '#lab/scenario.ts'
import type { Lab, SystemFacts } from '#lab/scenario.ts'
import { assertInstalled, assertVerified, TARGET_BYTES } from './installed-system.ts'

/** In a lab of its own. */
export async function inLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(tmpdir(), 'stampede-e2e-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await work(opened.use(await openLab(folder)))
}

export type Target = {
  name: string
  mac: string
  image: string
  firmware: 'bios' | 'uefi'
  bus: 'virtio' | 'sata' | 'nvme'
  onProgress?: (run: Run) => void
}

/** Deploys to a blank machine with one disk, which then boots from it. */
export async function deployAndAsk(lab: Lab, target: Target): Promise<SystemFacts> {
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
