import { execFile } from 'node:child_process'
import { mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { unwritable } from '../local-file.ts'

/** What a file holds, by its first bytes. */
export type DiskFormat = 'raw' | 'qcow2' | 'gzip' | 'xz' | 'zstd' | 'bzip2'

const run = promisify(execFile)
const HEAD_BYTES = 512
const INFO_TIMEOUT_MILLISECONDS = 60_000
const MAX_INFO_BYTES = 1024 * 1024

const MAGIC: [format: string, at: number, hex: string][] = [
  ['gzip', 0, '1f8b'],
  ['xz', 0, 'fd377a585a00'],
  ['zstd', 0, '28b52ffd'],
  ['bzip2', 0, '425a68'],
  ['qcow2', 0, '514649fb'],
  ['VMDK', 0, '4b444d56'],
  ['VHDX', 0, '7668647866696c65'],
  ['VDI', 64, '7f10dabe'],
]
const TAKEN: readonly string[] = ['gzip', 'xz', 'zstd', 'bzip2', 'qcow2']

/** Throws UsageError for a disk of another program: taken for raw, it would ruin a machine. */
export async function detectFormat(path: string): Promise<DiskFormat> {
  await using file = await open(path, 'r')
  const head = Buffer.alloc(HEAD_BYTES)
  await file.read(head, 0, HEAD_BYTES, 0)
  const found = MAGIC.find(([, at, hex]) => head.toString('hex', at, at + hex.length / 2) === hex)
  if (!found) return 'raw'
  if (TAKEN.includes(found[0])) return found[0] as DiskFormat
  throw new UsageError(
    `${path} is a ${found[0]} file; convert it first: qemu-img convert -O qcow2 ${path} disk.qcow2`,
  )
}

export interface ConvertedDisk extends AsyncDisposable {
  path: string
}

/** Undefined: there is no qemu-img here, or no room. The server can read the file itself then. */
export async function convertQcow2(
  path: string,
  { folder, signal, say }: { folder: string; signal: AbortSignal; say: (text: string) => void },
): Promise<ConvertedDisk | undefined> {
  const needed = await measure(path)
  if (needed === undefined) return undefined
  const failed = (err: unknown): never => {
    throw unwritable(folder, err)
  }
  const { bavail, bsize } = await statfs(folder).catch(failed)
  if (bavail * bsize < needed) {
    say(`${folder} has no room for ${formatBytes(needed)}; set TMPDIR to send less`)
    return undefined
  }
  await using opened = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(folder, 'stampede-push-')).catch(failed)
  opened.defer(() => rm(scratch, { recursive: true, force: true }))
  const raw = join(scratch, 'disk.raw')
  say('Reading the qcow2 with qemu-img')
  await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', '-t', 'unsafe', path, raw], {
    signal,
  }).catch(explain)
  const resources = opened.move()
  return { path: raw, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** Bytes that its content takes; undefined without qemu-img. Refuses what reads other files. */
async function measure(path: string): Promise<number | undefined> {
  const options = { timeout: INFO_TIMEOUT_MILLISECONDS, maxBuffer: MAX_INFO_BYTES }
  try {
    const shown = await run('qemu-img', ['info', '-f', 'qcow2', '--output=json', path], options)
    refuseOutside(path, JSON.parse(shown.stdout))
    const command = ['measure', '-f', 'qcow2', '-O', 'raw', '--output=json', path]
    const { stdout } = await run('qemu-img', command, options)
    return (JSON.parse(stdout) as { required: number }).required
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    if (err instanceof CliError) throw err
    return explain(err)
  }
}

interface QemuInfo {
  'backing-filename'?: string
  encrypted?: boolean
  'format-specific'?: { data?: { 'data-file'?: string } }
}

/** An image must not bring along what another file of this computer holds. */
function refuseOutside(path: string, info: QemuInfo): void {
  const backing = info['backing-filename']
  if (backing !== undefined)
    throw new UsageError(
      `${path} is only what differs from ${backing}; make it whole first: qemu-img convert -O qcow2 ${path} whole.qcow2`,
    )
  if (info['format-specific']?.data?.['data-file'] !== undefined)
    throw new UsageError(`${path} keeps its content in another file; convert it first`)
  if (info.encrypted) throw new UsageError(`${path} is encrypted; decrypt it first`)
}

function explain(err: unknown): never {
  if (err instanceof Error && err.name === 'AbortError') throw err
  const { stderr } = err as { stderr?: string }
  throw new CliError(EXIT.failed, `qemu-img failed: ${stderr?.trim() || String(err)}`)
}
