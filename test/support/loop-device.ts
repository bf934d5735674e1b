import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'

/** Loop devices are root's alone. */
export const NEEDS_ROOT =
  process.getuid?.() === 0 ? false : 'needs root, to make loop devices; run it with sudo'

export interface LoopDevice extends AsyncDisposable {
  /** `/dev/loop3` */
  readonly path: string
  readonly file: string
  /** SHA-256 of what the device holds now. */
  digest(): Promise<string>
  content(): Promise<Buffer>
}

export interface LoopOptions {
  /** The device's content; the rest of `sizeBytes` is zero. */
  content?: Uint8Array
  sizeBytes?: number
  /** Where its file is kept. */
  folder?: string
  sectorBytes?: 512 | 4096
  readOnly?: boolean
  /** Makes nodes of its partitions. */
  partitions?: boolean
}

/** A disk of our own: a sparse file behind a loop device, both gone at the end. */
export async function openLoopDevice(options: LoopOptions): Promise<LoopDevice> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(options.folder ?? tmpdir(), 'stampede-disk-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'disk')
  await writeFile(file, options.content ?? '')
  if (options.sizeBytes !== undefined) await truncate(file, options.sizeBytes)
  const { stdout } = await exec('losetup', [
    '--find',
    '--show',
    ...(options.sectorBytes ? ['--sector-size', String(options.sectorBytes)] : []),
    ...(options.readOnly ? ['--read-only'] : []),
    ...(options.partitions ? ['--partscan'] : []),
    file,
  ])
  const path = stdout.trim()
  opened.defer(async () => {
    await exec('losetup', ['--detach', path])
  })
  // Partitions, too, stay on it if who added them was killed.
  if (!options.partitions) await exec('partx', ['--delete', path], { allowExitCodes: [1] })
  // Set read-only once and not undone, by a program that was killed, a loop device stays so.
  if (!options.readOnly) await exec('blockdev', ['--setrw', path])
  const resources = opened.move()
  return {
    path,
    file,
    digest: () => fileDigest(path),
    content: () => fileContent(path),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.digest('hex')
}

async function fileContent(path: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of createReadStream(path)) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
