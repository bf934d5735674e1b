import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { DiskError } from '#agent/disk/disk-error.ts'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { ReadBackError } from '#agent/pipeline/verify-pieces.ts'
import { wipeDisk } from '#agent/steps/wipe-disk.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { openFaultDisk, type DiskFault, type FaultDisk } from '#test/support/fault-disk.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

/** More than is made zero at once, and no multiple of it. */
const DISK_BYTES = 66 * CHUNK_BYTES + 77 * 512
const MIDDLE = 12 * CHUNK_BYTES + 5000

function isZero(bytes: Buffer): boolean {
  return bytes.equals(Buffer.alloc(bytes.length))
}

async function openUsedDisk(sizeBytes: number): Promise<FaultDisk> {
  const disk = await openFaultDisk(sizeBytes)
  disk.fill(randomBytes(sizeBytes))
  return disk
}

async function contextFor({ path }: FaultDisk, more: Partial<TestContextOptions> = {}) {
  const disk = await readDiskAt(exec, path)
  // Nobody is asked for anything.
  return createTestContext({ serverUrl: 'http://127.0.0.1:1', workflow: 'wipe', disk, ...more })
}

/** Of whatever would make that byte zero. */
function atMiddle(fault: DiskFault): FaultDisk['fault'] {
  return ({ kind, start, end }) =>
    kind !== 'read' && kind !== 'flush' && start <= MIDDLE && MIDDLE < end ? fault : undefined
}

describe('wipe-disk', { skip: NEEDS_ROOT }, () => {
  it('leaves zeros from the first byte to the last, also after a power cut, and says what it proved', async () => {
    await using disk = await openUsedDisk(DISK_BYTES)
    let told: number[] = []
    const onProgress = (...figures: number[]) => (told = figures)
    const context = await contextFor(disk, { onProgress })
    assert.deepEqual(await wipeDisk(context), { state: 'succeeded' })
    disk.losePower(() => false)
    assert.ok(isZero(disk.content))
    const bytes = DISK_BYTES
    assert.deepEqual(context.facts, {
      bytesWritten: bytes,
      bytesZeroed: bytes,
      bytesVerified: bytes,
    })
    assert.deepEqual(told, [2 * bytes, 2 * bytes])
  })

  it('fails where the disk keeps something, whatever it said of it', async () => {
    await using disk = await openUsedDisk(24 * CHUNK_BYTES)
    disk.fault = atMiddle({ kind: 'lost' })
    const context = await contextFor(disk)
    await assert.rejects(wipeDisk(context), ReadBackError)
    assert.deepEqual(context.facts, {})
  })

  it('makes both ends zero first, so that a disk that fails in the middle does not boot', async () => {
    await using disk = await openUsedDisk(24 * CHUNK_BYTES)
    disk.fault = atMiddle({ kind: 'error', errno: 'EIO' })
    await assert.rejects(wipeDisk(await contextFor(disk)), DiskError)
    assert.ok(isZero(disk.content.subarray(0, 4 * CHUNK_BYTES)))
    assert.ok(isZero(disk.content.subarray(20 * CHUNK_BYTES)))
    assert.ok(!isZero(disk.content))
  })
})
