import { judgeBootability } from '#protocol/run/bootability.ts'
import { chooseDisk, describeDisk } from '#protocol/machine/disk-choice.ts'
import { checkTarget } from '#protocol/run/expected-target.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { AgentRun } from '#protocol/run/agent.ts'
import { identityMismatch } from '#protocol/machine/machine-identity.ts'
import {
  whyTooLarge,
  whyUncapturable,
  whyUnfit,
  whyUnusable,
  type Finding,
} from '#protocol/run/run-checks.ts'
import { planShrink, predictShrink } from '#protocol/disk/shrink.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { imageHead } from '../pipeline/image-head.ts'
import type { DisklessContext } from './step.ts'

/** The run must not go on; nothing was written. */
export class RefusedError extends Error {
  override name = 'RefusedError'
}

/**
 * Everything that can stop a run before its first write. Returns the disk that it is about.
 * Throws RefusedError.
 */
export async function checkMachine(context: DisklessContext): Promise<Disk> {
  const { run, inventory } = context
  refuseOtherMachine(run, inventory)
  const disk = findDisk(run, inventory)
  context.log(`Disk: ${describeDisk(disk)}`)
  refuse(whyUnusable(disk, run.workflow))
  if (run.workflow === 'capture') refuse(whyUncapturable(disk))
  if (run.workflow === 'deploy') await refuseUnfitImage(context, disk)
  return disk
}

/** What a plan said of the disk is compared although the server has done so: we read it ourselves. */
function findDisk({ expected, options }: AgentRun, { disks }: Inventory): Disk {
  if (expected) {
    const check = checkTarget(expected, disks, options.disk)
    if (check.kind === 'mismatch') throw new RefusedError(check.reason)
    return check.disk
  }
  const choice = chooseDisk(disks, options.disk)
  if (choice.kind === 'refused') throw new RefusedError(choice.reason)
  return choice.disk
}

function refuseOtherMachine(run: AgentRun, inventory: Inventory): void {
  const { machine } = run
  if (machine.locked && run.workflow !== 'verify')
    throw new RefusedError(`Machine ${machine.mac} is locked; unlock it to let runs work on it`)
  const mismatch = identityMismatch(
    { uuid: machine.smbiosUuid, serial: machine.smbiosSerial },
    inventory.smbios,
  )
  if (mismatch !== undefined) throw new RefusedError(mismatch)
}

async function refuseUnfitImage(context: DisklessContext, disk: Disk): Promise<void> {
  const { run, inventory, chunks, signal } = context
  const { image } = run
  if (image?.digest === undefined) throw new RefusedError('The run names no image to deploy')
  const digest = parseSha256(image.digest)
  const manifest = await chunks.manifest(digest, signal, { isToBeWritten: true })
  const sized = { ...manifest, name: image.name }
  refuse(whyUnfit(sized, disk))
  const { allowShrink = false } = run.options
  const { sectorBytes } = manifest
  const noted = predictShrink(image.info ?? {}, sectorBytes, disk.sizeBytes)
  if (noted) refuse(whyTooLarge(sized, disk, { allowShrink, shrink: noted }))

  const head = await imageHead(chunks, manifest, signal)
  const shrink = planShrink(head, sectorBytes, disk.sizeBytes)
  refuse(whyTooLarge(sized, disk, { allowShrink, shrink }))
  const { refusal, warning } = judgeBootability(
    { head, sectorBytes: manifest.sectorBytes, info: image.info ?? {} },
    inventory,
  )
  if (!run.options.force) refuse(refusal)
  const notice = refusal ?? warning
  if (notice) context.warn(notice.message)
}

function refuse(finding: Finding | undefined): void {
  if (finding) throw new RefusedError(finding.message)
}
