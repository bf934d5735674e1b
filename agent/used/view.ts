import { existsSync } from 'node:fs'
import type { Device } from '../disk/device.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import { exec as plainExec, type Exec } from '../exec.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { placesOf } from '#protocol/disk/lvm-layout.ts'
import type { Region, RegionView } from './region.ts'
import { openServedFile } from './served-file.ts'

/** Multiple of every sector size: what O_DIRECT wants of offsets and lengths. */
const PAGE_BYTES = 4096

export interface OpenView extends RegionView, AsyncDisposable {}

/**
 * A read-only loop device of a part of a disk. It needs no partition nodes, works while we hold the
 * disk for ourselves, and no tool can write through it whatever it is told. Of a region in several
 * pieces, it lies on a file that we serve: unlike device-mapper, that takes no name and no UUID.
 */
export async function openView(
  exec: Exec,
  { device, sectorBytes, region }: { device: Device; sectorBytes: number; region: Region },
): Promise<OpenView> {
  await loadLoopDriver(exec)
  await using opened = new AsyncDisposableStack()
  const sizeBytes = region.end - region.start
  const look = (start: number, length: number) => peekRegion(device, region, start, length)
  const behind = region.layout
    ? opened.use(await openServedFile(exec, sizeBytes, (start, end) => look(start, end - start)))
    : device
  // Not bound to the run's signal: a cancelled run lets go of the disk, too, and of a device that it just got.
  const { stdout } = await plainExec('losetup', [
    '--find',
    '--show',
    '--read-only',
    '--offset',
    String(region.start),
    '--sizelimit',
    String(sizeBytes),
    '--sector-size',
    String(sectorBytes),
    behind.path,
  ])
  const path = stdout.trim()
  opened.defer(async () => void (await plainExec('losetup', ['--detach', path])))
  const resources = opened.move()
  return {
    path,
    sizeBytes,
    region,
    peek: look,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function peekRegion(device: Device, region: Region, start: number, length: number) {
  if (!region.layout) return await peek(device, region.start + start, length)
  const parts: Buffer[] = []
  for (const place of placesOf(region.layout, start, start + length))
    parts.push(await peek(device, place.start, place.end - place.start))
  return Buffer.concat(parts)
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
