import { mkdtempDisposable, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { createRandom } from '#test/support/lossy-proxy.ts'

export const DISK_CHUNKS = 24
export const DISK_BYTES = DISK_CHUNKS * CHUNK_BYTES

/** Half-open, in chunks: where system 1 has zeros, and where all others have. */
const ZEROS = { start: 14, end: 19 }
const OTHER_ZEROS = { start: 4, end: 7 }

const BOOT_CODE_BYTES = 440

/**
 * The content of a disk that firmware would boot: a GPT and its backup, boot code, and partitions with
 * what can be compressed and what can't, twins, and zeros. Another number makes another system.
 */
export async function systemDisk(number: number): Promise<Buffer> {
  const disk = Buffer.alloc(DISK_BYTES)
  const random = createRandom(number)
  const zeros = number === 1 ? ZEROS : OTHER_ZEROS
  for (let index = 1; index < DISK_CHUNKS; index++) {
    const isZero = index >= zeros.start && index < zeros.end
    if (!isZero) fillChunk(disk.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES), random)
  }
  disk.copyWithin(9 * CHUNK_BYTES, 8 * CHUNK_BYTES, 9 * CHUNK_BYTES)
  disk.fill(number, 0, BOOT_CODE_BYTES)
  return await withPartitions(disk, number)
}

function fillChunk(chunk: Buffer, random: () => number): void {
  if (random() < 0.5) return void chunk.fill(`made of ${random()} `)
  const words = new Uint32Array(chunk.length / 4)
  for (let index = 0; index < words.length; index++) words[index] = random() * 2 ** 32
  Buffer.from(words.buffer).copy(chunk)
}

async function withPartitions(disk: Buffer, number: number): Promise<Buffer> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-system-'))
  const file = join(folder.path, 'disk')
  await writeFile(file, disk)
  await truncate(file, DISK_BYTES)
  const uuid = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  const lines = ['label: gpt', `label-id: ${uuid}`, 'size=10MiB, type=linux', 'type=linux']
  await exec('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', file], {
    input: `${lines.join('\n')}\n`,
  })
  return await readFile(file)
}
