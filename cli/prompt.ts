import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { CliError, EXIT, UsageError } from './errors.ts'

/** Questions at the terminal; they go to standard error, so that the answer stays clean. */

/** Standard input of this many characters is no password and no token. */
const MAX_SECRET_CHARACTERS = 4096

export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true
}

/** What is typed; `hidden`: without showing it. */
export async function ask(
  question: string,
  { signal, hidden = false, instead }: { signal: AbortSignal; hidden?: boolean; instead: string },
): Promise<string> {
  if (!canAsk()) throw new UsageError(`This is no terminal to ask at; ${instead}`)
  let isMuted = false
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!isMuted) process.stderr.write(chunk)
      done()
    },
  })
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('SIGINT', () => reject(new CliError(EXIT.interrupted, 'Nothing was done')))
      // End of input: nobody will answer.
      lines.once('close', () => reject(new CliError(EXIT.interrupted, 'Nothing was done')))
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      lines.question(question, resolve)
      isMuted = hidden
    })
  } finally {
    isMuted = false
    lines.close()
    if (hidden) process.stderr.write('\n')
  }
}

/** The first line of standard input, as `--password-stdin` wants it. */
export async function readSecretFromInput(): Promise<string> {
  let text = ''
  for await (const part of process.stdin.setEncoding('utf8')) {
    text += part
    if (text.length > MAX_SECRET_CHARACTERS) throw new UsageError('Standard input is too long')
  }
  const line = text.split(/\r?\n/, 1)[0] ?? ''
  if (line === '') throw new UsageError('Standard input is empty')
  return line
}
