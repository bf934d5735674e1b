import { CHUNK_BYTES, decodeSegment, type Manifest } from '#protocol/image.ts'
import { judgeBootability } from '#protocol/bootability.ts'
import { chooseDisk, describeDisk } from '#protocol/disk-choice.ts'
import { checkTarget } from '#protocol/expected-target.ts'
import type { Disk, Inventory } from '#protocol/inventory.ts'
import type { AgentRun } from '#protocol/agent.ts'
import { identityMismatch } from '#protocol/machine-identity.ts'
import { whyUncapturable, whyUnfit, whyUnusable, type Finding } from '#protocol/run-checks.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunk-client.ts'
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
  if (machine.locked)
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
  const manifest = await chunks.manifest(parseSha256(image.digest), signal)
  refuse(whyUnfit({ ...manifest, name: image.name }, disk))

  const head = await imageHead(chunks, manifest, signal)
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

async function imageHead(
  chunks: ChunkClient,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const [segment] = manifest.segments
  const reference = segment
    ? decodeSegment(await chunks.read(parseSha256(segment), signal))[0]
    : 'zero'
  if (reference === undefined || reference === 'zero' || reference === 'unused')
    return new Uint8Array(CHUNK_BYTES)
  return await chunks.read(reference, signal)
}
