import { existsSync } from 'node:fs'
import type { Device } from '../disk/device.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import { exec as plainExec, type Exec } from '../exec.ts'
import { CHUNK_BYTES } from '#protocol/image.ts'
import type { Region, RegionView } from './region.ts'

/** Multiple of every sector size: what O_DIRECT wants of offsets and lengths. */
const PAGE_BYTES = 4096

export interface OpenView extends RegionView, AsyncDisposable {}

/**
 * A read-only loop device of a part of a disk. It needs no partition nodes, works while we hold the
 * disk for ourselves, and no tool can write through it whatever it is told.
 */
export async function openView(
  exec: Exec,
  { device, sectorBytes, region }: { device: Device; sectorBytes: number; region: Region },
): Promise<OpenView> {
  await loadLoopDriver(exec)
  const sizeBytes = region.end - region.start
  const { stdout } = await exec('losetup', [
    '--find',
    '--show',
    '--read-only',
    '--offset',
    String(region.start),
    '--sizelimit',
    String(sizeBytes),
    '--sector-size',
    String(sectorBytes),
    device.path,
  ])
  const path = stdout.trim()
  return {
    path,
    sizeBytes,
    region,
    peek: (start, length) => peek(device, region.start + start, length),
    async [Symbol.asyncDispose]() {
      // Not bound to the run's signal: a cancelled run lets go of the disk, too.
      await plainExec('losetup', ['--detach', path])
    },
  }
}

/** In the initramfs nobody loads a module because a program asks for a node that is missing. */
async function loadLoopDriver(exec: Exec): Promise<void> {
  if (!existsSync('/sys/module/loop')) await exec('modprobe', ['loop'])
}

/** A copy of bytes of a disk, read past the page cache. */
export async function peek(device: Device, start: number, length: number): Promise<Buffer> {
  const first = start - (start % PAGE_BYTES)
  const end = Math.min(Math.ceil((start + length) / PAGE_BYTES) * PAGE_BYTES, device.sizeBytes)
  if (end - first > CHUNK_BYTES) throw new RangeError(`Can't look at ${length} bytes at once`)
  return await withChunkBuffer(async (buffer) => {
    const shared = buffer.subarray(0, end - first)
    await device.read(shared, first)
    return Buffer.from(shared.subarray(start - first, start - first + length))
  })
}
