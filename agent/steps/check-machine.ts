import { CHUNK_BYTES, decodeSegment, type Manifest } from '#protocol/image.ts'
import { chooseDisk, describeDisk, formatBytes } from '#protocol/disk-choice.ts'
import type { Disk, Inventory } from '#protocol/inventory.ts'
import type { AgentRun } from '#protocol/agent.ts'
import { identityMismatch } from '#protocol/machine-identity.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { judgeBootability } from '../disk/bootability.ts'
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
  const choice = chooseDisk(inventory.disks, run.options.disk)
  if (choice.kind === 'refused') throw new RefusedError(choice.reason)
  const { disk } = choice
  context.log(`Disk: ${describeDisk(disk)}`)
  refuseUnusable(disk, run)
  if (run.workflow === 'deploy') await refuseUnfitImage(context, disk)
  return disk
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

function refuseUnusable(disk: Disk, run: AgentRun): void {
  if (disk.busy !== undefined) {
    throw new RefusedError(
      `Disk ${describeDisk(disk)} is in use: ${disk.busy}; unmount or stop that first`,
    )
  }
  if (disk.readOnly && run.workflow !== 'capture')
    throw new RefusedError(`Disk ${describeDisk(disk)} is read-only; nothing can be written to it`)
  if (disk.sizeBytes === 0) throw new RefusedError(`Disk ${describeDisk(disk)} holds no medium`)
}

async function refuseUnfitImage(context: DisklessContext, disk: Disk): Promise<void> {
  const { run, inventory, chunks, signal } = context
  const { image } = run
  if (image?.digest === undefined) throw new RefusedError('The run names no image to deploy')
  const manifest = await chunks.manifest(parseSha256(image.digest), signal)
  refuseSize(image.name, manifest, disk)

  const head = await imageHead(chunks, manifest, signal)
  const { refusal, warning } = judgeBootability(
    { head, sectorBytes: manifest.sectorBytes, info: image.info ?? {} },
    inventory,
  )
  if (refusal !== undefined && !run.options.force) throw new RefusedError(refusal)
  const notice = refusal ?? warning
  if (notice !== undefined) context.warn(notice)
}

function refuseSize(imageName: string, manifest: Manifest, disk: Disk): void {
  if (manifest.sizeBytes > disk.sizeBytes) {
    throw new RefusedError(
      `Image "${imageName}" is ${formatBytes(manifest.sizeBytes)} (${manifest.sizeBytes} bytes) ` +
        `but disk ${disk.path} holds ${formatBytes(disk.sizeBytes)} (${disk.sizeBytes} bytes); ` +
        `choose another disk or image`,
    )
  }
  if (manifest.sectorBytes !== disk.sectorBytes) {
    throw new RefusedError(
      `Image "${imageName}" is made for sectors of ${manifest.sectorBytes} bytes but disk ` +
        `${disk.path} has ${disk.sectorBytes}; choose another disk or image`,
    )
  }
  if (manifest.sizeBytes % disk.sectorBytes !== 0) {
    throw new RefusedError(
      `Image "${imageName}" is ${manifest.sizeBytes} bytes, no whole number of sectors of ` +
        `${disk.sectorBytes} bytes as disk ${disk.path} has them; choose another disk or image`,
    )
  }
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
