import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { ImageFileError } from './image-file-error.ts'

/**
 * A program that looks into a file system that anybody may have made: as nobody, with limits, without a
 * way to new privileges, and with nothing but the partition, as descriptor 3.
 */
export interface ReaderProgram {
  /** The first is the program. Of the partition it says PARTITION. */
  command: readonly string[]
  /** Where the partition is spooled. */
  spoolPath: string
  signal: AbortSignal
  /** Its status says only that one thing it was asked for is not there. */
  mayFail?: boolean
  /** What it complains of, also if it ends well. */
  onMessage?: (message: string) => void
}

export const PARTITION = '/dev/fd/3'

/** The user and group `nobody` and `nogroup` of Debian. */
const UNPRIVILEGED_ID = 65_534
const LIMITS = [
  `--as=${1024 * 1024 * 1024}`, // bytes of address space
  '--cpu=120', // seconds
  '--fsize=0',
  '--core=0',
  '--nofile=64',
  '--nproc=64',
]
const IDLE_MILLISECONDS = 60_000
const MAX_TEXT_BYTES = 16 * 1024 * 1024
const MAX_MESSAGE_CHARACTERS = 1000

/** What it prints. Throws ImageFileError if it ends in failure. */
export async function* runReader({
  command,
  spoolPath,
  signal,
  mayFail = false,
  onMessage,
}: ReaderProgram): AsyncGenerator<Uint8Array> {
  const isRoot = process.getuid?.() === 0
  const identity = isRoot
    ? [`--reuid=${UNPRIVILEGED_ID}`, `--regid=${UNPRIVILEGED_ID}`, '--clear-groups']
    : []
  const limits = isRoot ? LIMITS : LIMITS.filter((limit) => !limit.startsWith('--nproc'))
  const file = await open(spoolPath, 'r')
  const child = spawn(
    'prlimit',
    [...limits, '--', 'setpriv', ...identity, '--no-new-privs', '--', ...command],
    {
      stdio: ['ignore', 'pipe', 'pipe', file.fd],
      env: {
        PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
        LC_ALL: 'C.UTF-8',
        MTOOLSRC: '/dev/null',
      },
    },
  )
  // Read from at once: Node lets go of what a program that ends quickly has printed and nobody waits for.
  const output = child.stdout!.pipe(new PassThrough())
  let message = ''
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    if (message.length < MAX_MESSAGE_CHARACTERS) message += part
  })
  const exited = once(child, 'close') as Promise<[number | null, string | null]>
  exited.catch(() => {})
  await once(child, 'spawn').finally(() => file.close())
  const stop = () => child.kill('SIGKILL')
  let idle = setTimeout(stop, IDLE_MILLISECONDS)
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const bytes of output as AsyncIterable<Uint8Array>) {
      clearTimeout(idle)
      idle = setTimeout(stop, IDLE_MILLISECONDS)
      yield bytes
    }
    const [code, killedBy] = await exited
    signal.throwIfAborted()
    onMessage?.(message)
    if (code === 0 || (code === 1 && mayFail)) return
    if (code === 127)
      throw new ImageFileError(
        'reader-missing',
        `The server lacks the program ${command[0]}; install it there (${PACKAGES[command[0]!] ?? command[0]})`,
      )
    throw new ImageFileError(
      'unreadable-file-system',
      `${command[0]} could not read the file system (${message.trim() || killedBy || `it ended with ${code}`})`,
    )
  } finally {
    clearTimeout(idle)
    signal.removeEventListener('abort', stop)
    stop()
    await exited.catch(() => {})
  }
}

const PACKAGES: Record<string, string> = {
  debugfs: 'e2fsprogs',
  xfs_db: 'xfsprogs',
  mdir: 'mtools',
  mtype: 'mtools',
  ntfsls: 'ntfs-3g',
  ntfscat: 'ntfs-3g',
}

/** All that it prints, as text. */
export async function readText(program: ReaderProgram): Promise<string> {
  const parts: Uint8Array[] = []
  let byteCount = 0
  for await (const bytes of runReader(program)) {
    byteCount += bytes.length
    if (byteCount > MAX_TEXT_BYTES)
      throw new ImageFileError(
        'unreadable-file-system',
        `The directory has more entries than ${MAX_TEXT_BYTES} bytes of names`,
      )
    parts.push(bytes)
  }
  return Buffer.concat(parts).toString('utf8')
}
