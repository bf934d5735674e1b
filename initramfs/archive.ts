import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { lutimes, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** The kernel unpacks archives one after the other, so that a cached one can be followed by ours. */
export interface ArchiveOptions {
  /** zstd's level; above 19 it would need more memory to unpack than a small machine has. */
  level: number
  onProgress?: (part: number) => void
}

/**
 * Packs everything in `folder` into a zstd compressed cpio archive (newc, all files root's, no
 * time stamps: the same input gives the same bytes) as Documentation/driver-api/early-userspace
 * of the kernel describes.
 */
export async function packArchive(
  folder: string,
  output: string,
  { level, onProgress }: ArchiveOptions,
): Promise<void> {
  const names = (await listTree(folder)).sort()
  for (const name of names) await lutimes(join(folder, name), 0, 0)
  const cpioPath = `${output}.cpio`
  const cpio = ['-o', '-0', '--quiet', '-H', 'newc', '--reproducible', '--owner=0:0']
  await feed('cpio', [...cpio, '-F', cpioPath], folder, names.map((name) => `${name}\0`).join(''))
  await compress(cpioPath, output, level, onProgress)
}

/** Names below `folder`; `recursive` of readdir would walk into links to folders as well. */
async function listTree(folder: string, prefix = ''): Promise<string[]> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true })
  const names = entries.map(async (entry) => {
    const name = join(prefix, entry.name)
    return entry.isDirectory() ? [name, ...(await listTree(folder, name))] : [name]
  })
  return (await Promise.all(names)).flat()
}

async function feed(program: string, args: string[], cwd: string, input: string): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: ['pipe', 'inherit', 'inherit'] })
  child.stdin.end(input)
  await finished(program, child)
}

async function compress(
  input: string,
  output: string,
  level: number,
  onProgress: ArchiveOptions['onProgress'],
): Promise<void> {
  const { size } = await stat(input)
  // An archive has to begin at a multiple of 4 bytes; without a content size zstd streams.
  const args = ['-q', '-f', `-${level}`, '-T0', '-o', output]
  const child = spawn('zstd', args, { stdio: ['pipe', 'inherit', 'inherit'] })
  const done = finished('zstd', child)
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length
      onProgress?.(bytes / size)
      callback(null, chunk)
    },
  })
  await Promise.all([pipeline(createReadStream(input), count, child.stdin), done])
}

async function finished(program: string, child: ReturnType<typeof spawn>): Promise<void> {
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code !== 0) throw new Error(`"${program}" ended with ${signal ?? `exit code ${code}`}`)
}
