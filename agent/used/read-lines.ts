import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** The end of stderr says what went wrong. */
const MAX_ERROR_CHARACTERS = 4000

/**
 * Runs a program whose output is too long to keep, and gives it away line by line. Returns the end
 * of what it said on stderr. Throws if it can't be started, fails, or takes too long.
 */
export async function readLines(
  command: string,
  args: readonly string[],
  { signal, timeoutSeconds }: { signal: AbortSignal; timeoutSeconds: number },
  onLine: (line: string) => void,
): Promise<string> {
  signal.throwIfAborted()
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
    signal: AbortSignal.any([signal, timeout]),
    killSignal: 'SIGKILL',
  })
  let stderr = ''
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_ERROR_CHARACTERS)
  })
  const ended = once(child, 'close') as Promise<[number | null, string | null]>
  ended.catch(() => {}) // awaited below; it may fail while lines are still read
  try {
    for await (const line of createInterface({ input: child.stdout })) onLine(line)
    const [exitCode, endSignal] = await ended
    if (exitCode === 0) return stderr
    const how =
      exitCode === null ? `was ended by ${endSignal}` : `failed with exit code ${exitCode}`
    throw new Error(`${command} ${how}: ${lastLine(stderr)}`)
  } catch (err) {
    child.kill('SIGKILL')
    signal.throwIfAborted()
    if (timeout.aborted) throw new Error(`${command} was stopped after ${timeoutSeconds} s`)
    if ((err as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Error(`${command} is not installed`, { cause: err })
    throw err
  }
}

/** What partclone ends with says nothing: it has no log here. */
const NOTHING_SAID = /^$|^Aborting\.$|please check \/dev\/null/

function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.trim())
  return lines.findLast((line) => !NOTHING_SAID.test(line)) ?? 'it said nothing'
}
