import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CHUNK_BYTES, type Manifest } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { sha256 } from '#test/support/disk-content.ts'
import type { FaultLab } from './fault-lab.ts'

/** The file of a chunk in a directory store: `store/ab/cdef….gz`. */
export async function chunkPath({ server }: FaultLab, hash: Sha256): Promise<string> {
  const folder = join(server.dataFolder, 'store', hash.slice(0, 2))
  const names = (await readdir(folder)).filter((name) => name.startsWith(hash.slice(2)))
  assert.equal(names.length, 1, `Files of chunk ${hash}: ${names.join(', ')}`)
  return join(folder, names[0]!)
}

/** Makes the file what `damage` returns, or none, and undoes that at the end. */
export async function damageStored(
  lab: FaultLab,
  hash: Sha256,
  damage: (stored: Buffer) => Buffer | undefined,
): Promise<AsyncDisposable> {
  const path = await chunkPath(lab, hash)
  const stored = await readFile(path)
  const damaged = damage(stored)
  if (damaged) await writeFile(path, damaged)
  else await rm(path)
  return { [Symbol.asyncDispose]: () => writeFile(path, stored) }
}

export function chunkHash(disk: Buffer, index: number): Sha256 {
  return sha256(disk.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES))
}

export async function segmentHash(lab: FaultLab, name: string): Promise<Sha256> {
  const { digest } = (await (await lab.call('GET', `/api/images/${name}`)).json()) as Image
  const manifest = await (await lab.call('GET', `/images/by-digest/${digest}`)).json()
  return parseSha256((manifest as Manifest).segments[0]!)
}
