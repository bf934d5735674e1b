import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Console } from './console.ts'

/** Ctrl-], as telnet and virsh have it: what leaves a console that gets every other key. */
const ESCAPE = '\x1d'

/**
 * Makes this terminal the machine's serial console until Ctrl-] is pressed or `stop` is aborted.
 * Where the input is no terminal, the console is only shown.
 */
export async function attachToConsole(console: Console, stop: AbortSignal): Promise<void> {
  const { stdin } = process
  const output = spawn('tail', ['-c', '0', '-f', console.file], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const left = new AbortController()
  const type = (text: string) => {
    if (stdin.isTTY && text.includes(ESCAPE)) left.abort()
    else if (stdin.isTTY) console.send(text)
  }
  if (stdin.isTTY) stdin.setRawMode(true).setEncoding('utf8').on('data', type)
  try {
    const signal = AbortSignal.any([stop, left.signal])
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    output.kill()
    if (stdin.isTTY) stdin.setRawMode(false).off('data', type).pause()
  }
}
