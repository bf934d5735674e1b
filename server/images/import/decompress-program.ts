import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { ByteInput } from './byte-input.ts'
import { corrupt } from './decompress.ts'

/** Node has neither xz nor bzip2; the distribution's own programs do it best. */
const PROGRAMS = {
  // The highest preset needs 65 MiB; a file that asks for more is refused by xz itself.
  xz: ['xz', '--decompress', '--stdout', '--format=xz', '--memlimit-decompress=512MiB'],
  bzip2: ['bzip2', '--decompress', '--stdout'],
} as const

const ADDRESS_SPACE_BYTES = 1024 * 1024 * 1024
const MAX_MESSAGE_CHARACTERS = 2000

/** Content of an xz or bzip2 file, decoded by a child process with limited memory. */
export async function* decompressWithProgram(
  input: ByteInput,
  format: keyof typeof PROGRAMS,
): AsyncGenerator<Uint8Array> {
  const child = spawn(
    'prlimit',
    [`--as=${ADDRESS_SPACE_BYTES}`, '--core=0', '--', ...PROGRAMS[format]],
    { stdio: 'pipe' },
  )
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  exited.catch(() => {}) // awaited below, but not if the consumer leaves early
  let message = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (message.length < MAX_MESSAGE_CHARACTERS) message += text
  })
  let sourceError: unknown
  const fed = feed(input, child.stdin).catch((err: unknown) => {
    sourceError = err
    child.kill('SIGKILL')
  })
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    const [code, signal] = await exited
    if (sourceError !== undefined) throw sourceError
    // bzip2 calls what follows the end a mere warning, and succeeds.
    if (code !== 0 || message !== '')
      throw corrupt(format, firstLine(message) || `${format} ended with ${code ?? signal}`)
    await fed
  } finally {
    child.kill('SIGKILL')
  }
}

/** Ends quietly when the program stops reading: its exit code says why. */
async function feed(input: ByteInput, stdin: Writable): Promise<void> {
  let closed = false
  const gone = new Promise<void>((resolve) => {
    const stop = () => {
      closed = true
      resolve()
    }
    stdin.once('close', stop).once('error', stop)
  })
  for await (const bytes of input) {
    if (closed) return
    if (!stdin.write(bytes)) await Promise.race([once(stdin, 'drain').catch(() => {}), gone])
  }
  stdin.end()
}

/** bzip2 goes on with advice for whoever sits at its terminal. */
function firstLine(message: string): string {
  return message
    .trim()
    .split('\n', 1)[0]!
    .replace(/[;,.]$/, '')
}
