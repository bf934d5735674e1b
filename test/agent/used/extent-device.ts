import { open, rm, writeFile } from 'node:fs/promises'
import { exec } from '#agent/exec.ts'
import { mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'

/** Extents of 4 MiB of a physical volume, whose metadata lies before the first. */
export interface ExtentPlace {
  partition: number
  start: number
  end: number
}

const EXTENT_BYTES = mib(4)
const FIRST_EXTENT = mib(1)
const ALL = 2 ** 40

/**
 * A volume as a device of its own: its bytes are copied out, and copied back at the end, so that neither LVM nor what
 * is tested has a hand in it.
 */
export async function openExtents(
  disk: LoopDisk,
  places: readonly ExtentPlace[],
  stripeBytes = ALL,
): Promise<{ path: string } & AsyncDisposable> {
  const file = `${disk.file}-volume-${Math.random().toString(36).slice(2)}`
  const pieces = [...piecesOf(places, stripeBytes)]
  await writeFile(file, '')
  for (const { partition, start, bytes, at } of pieces)
    await copy(disk.partition(partition), start, { path: file, at, bytes })
  const { stdout } = await exec('losetup', ['--find', '--show', file])
  const path = stdout.trim()
  return {
    path,
    async [Symbol.asyncDispose]() {
      await exec('sync', ['-d', path])
      await exec('losetup', ['--detach', path])
      for (const { partition, start, bytes, at } of pieces)
        await copy(file, at, { path: disk.partition(partition), at: start, bytes })
      await rm(file)
    },
  }
}

function* piecesOf(places: readonly ExtentPlace[], stripeBytes: number) {
  if (stripeBytes === ALL) {
    let at = 0
    for (const { partition, start, end } of places) {
      const bytes = (end - start) * EXTENT_BYTES
      yield { partition, start: FIRST_EXTENT + start * EXTENT_BYTES, bytes, at }
      at += bytes
    }
    return
  }
  const rows = ((places[0]!.end - places[0]!.start) * EXTENT_BYTES) / stripeBytes
  for (let row = 0; row < rows; row++)
    for (const [column, { partition, start }] of places.entries())
      yield {
        partition,
        start: FIRST_EXTENT + start * EXTENT_BYTES + row * stripeBytes,
        bytes: stripeBytes,
        at: (row * places.length + column) * stripeBytes,
      }
}

async function copy(
  from: string,
  start: number,
  to: { path: string; at: number; bytes: number },
): Promise<void> {
  await using source = await open(from, 'r')
  await using target = await open(to.path, 'r+')
  const buffer = Buffer.alloc(to.bytes)
  await source.read(buffer, 0, to.bytes, start)
  await target.write(buffer, 0, to.bytes, to.at)
}
