import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { StoreFullError } from '../store/chunk-store.ts'
import type { ByteInput } from './byte-input.ts'
import type { Piece } from './chunk-cutter.ts'
import { ImageRefusedError } from './import-error.ts'
import { MAX_READ_BYTES, type NbdDisk, NbdError, openNbd } from './nbd-client.ts'
import { checkQcow2Extent } from './qcow2-extent.ts'
import { checkQcow2Header, QCOW2_HEADER_BYTES } from './qcow2-header.ts'

export type Qcow2Options = {
  /** Where the upload waits: a qcow2 file cannot be read from front to back. */
  spoolFolder: string
  maxImageBytes: number
  /** Of the uploaded file, if known; a compressed one holds at least as much. */
  fileBytes?: number | undefined
}

/** Of QEMU's processes at once; other files wait for their turn where they were spooled. */
const CONCURRENT_READERS = 4
const readers = pLimit(CONCURRENT_READERS)
/** What spooled files leave to the database and whoever else lives in the data folder. */
const SPARE_FRACTION = 0.02
/** How much is spooled between looks at the room that is left. */
const LOOK_BYTES = 64 * 1024 * 1024

/** The user and group `nobody` and `nogroup` of Debian. */
const UNPRIVILEGED_ID = 65_534
const LIMITS = [
  `--as=${2 * 1024 * 1024 * 1024}`, // bytes of address space
  `--cpu=${6 * 3600}`, // seconds
  '--fsize=0',
  '--core=0',
  '--nofile=64',
]
const START_MILLISECONDS = 10_000
const START_POLL_MILLISECONDS = 20
const MAX_MESSAGE_CHARACTERS = 2000

/** Content of the disk in a qcow2 file. Its header is checked before the rest is even received. */
export async function* readQcow2(input: ByteInput, options: Qcow2Options): AsyncGenerator<Piece> {
  checkQcow2Header(await input.peek(QCOW2_HEADER_BYTES), options.maxImageBytes)
  const path = join(options.spoolFolder, `${randomUUID()}.qcow2`)
  try {
    await checkSpoolRoom(options.spoolFolder, options.fileBytes ?? 0)
    await spool(input, path, options)
    await checkQcow2Extent(path)
    const done = await takeTurn()
    try {
      yield* readSpooled(path)
    } finally {
      done()
    }
  } finally {
    await rm(path, { force: true })
  }
}

/** Resolves when there is a turn, which lasts until what it gives is called. */
async function takeTurn(): Promise<() => void> {
  const taken = Promise.withResolvers<() => void>()
  const done = Promise.withResolvers<void>()
  void readers(() => {
    taken.resolve(() => done.resolve())
    return done.promise
  })
  return taken.promise
}

/** Throws StoreFullError. */
async function checkSpoolRoom(folder: string, neededBytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder)
  const freeBytes = Math.max(0, Math.floor((bavail - blocks * SPARE_FRACTION) * bsize))
  if (freeBytes >= neededBytes && freeBytes > 0) return
  throw new StoreFullError(
    `The data folder has ${freeBytes} bytes to spare for qcow2 files, too few for this one; make room, or upload it as raw or zstd`,
  )
}

async function spool(
  input: ByteInput,
  path: string,
  { maxImageBytes: maxBytes, spoolFolder }: Qcow2Options,
): Promise<void> {
  // Readable by the unprivileged reader through an inherited descriptor; the folder is closed to it.
  await using file = await open(path, 'wx', 0o644)
  let sizeBytes = 0
  let lookAt = LOOK_BYTES
  for await (const bytes of input) {
    sizeBytes += bytes.length
    if (sizeBytes > lookAt) {
      await checkSpoolRoom(spoolFolder, 0)
      lookAt += LOOK_BYTES
    }
    if (sizeBytes > maxBytes)
      throw new ImageRefusedError(
        'image-too-large',
        `The qcow2 file has more than ${maxBytes} bytes, the limit of this server`,
      )
    await file.writeFile(bytes).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOSPC' && cause.code !== 'EDQUOT') throw cause
      throw new StoreFullError('The data folder is too full to take the qcow2 file', { cause })
    })
  }
}

async function* readSpooled(path: string): AsyncGenerator<Piece> {
  await using reader = await openReader(path)
  try {
    yield* piecesOf(reader.disk)
  } catch (cause) {
    if (!(cause instanceof NbdError)) throw cause
    throw new ImageRefusedError(
      'corrupt-upload',
      `The qcow2 file is damaged: ${reader.message() || cause.message}; check it with qemu-img`,
      { cause },
    )
  }
}

async function* piecesOf(disk: NbdDisk): AsyncGenerator<Piece> {
  for (let start = 0; start < disk.sizeBytes;) {
    const { length, isZero } = await disk.extent(start, disk.sizeBytes - start)
    const end = start + length
    if (isZero) yield { zeroBytes: length }
    else
      for (; start < end; start += MAX_READ_BYTES)
        yield await disk.read(start, Math.min(MAX_READ_BYTES, end - start))
    start = end
  }
}

/** qemu-nbd as nobody, with limits, no way to new privileges, and nothing but this file. */
async function openReader(path: string) {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-qcow2-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const isRoot = process.getuid?.() === 0
  if (isRoot) await chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
  const socketPath = join(folder, 'nbd')

  const file = await open(path, 'r')
  const child = spawn(
    'prlimit',
    [...LIMITS, '--', ...unprivileged(isRoot), ...command(socketPath)],
    {
      stdio: ['ignore', 'ignore', 'pipe', file.fd],
      env: { PATH: process.env['PATH'] },
    },
  )
  const exited = once(child, 'close').catch(() => {})
  opened.defer(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let text = ''
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    if (text.length < MAX_MESSAGE_CHARACTERS) text += part
  })
  const message = () => text.replaceAll(/^qemu-nbd: |\/dev\/fd\/3/gm, '').trim()
  await once(child, 'spawn').finally(() => file.close())
  const disk = opened.use(await connectWhenUp(socketPath, exited, message))
  const resources = opened.move()
  return { disk, message, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

function unprivileged(isRoot: boolean): string[] {
  const identity = isRoot
    ? [`--reuid=${UNPRIVILEGED_ID}`, `--regid=${UNPRIVILEGED_ID}`, '--clear-groups']
    : []
  return ['setpriv', ...identity, '--no-new-privs', '--']
}

function command(socketPath: string): string[] {
  return ['qemu-nbd', '--read-only', '--format=qcow2', `--socket=${socketPath}`, '/dev/fd/3']
}

async function connectWhenUp(
  socketPath: string,
  exited: Promise<unknown>,
  message: () => string,
): Promise<NbdDisk> {
  const deadline = Date.now() + START_MILLISECONDS
  let hasExited = false
  void exited.then(() => (hasExited = true))
  for (;;) {
    try {
      return await openNbd(socketPath)
    } catch (cause) {
      if (hasExited)
        throw new ImageRefusedError(
          'corrupt-upload',
          `QEMU cannot open the qcow2 file: ${message()}; check it with qemu-img`,
          { cause },
        )
      if (Date.now() > deadline) throw cause
      await sleep(START_POLL_MILLISECONDS)
    }
  }
}
