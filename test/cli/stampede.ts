import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { fasterStart } from '#test/support/clean-environment.ts'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'

/** The command as people run it: by its launcher, in a process and a home of its own. */

export const LAUNCHER = resolve(import.meta.dirname, '../../cli/stampede')
/** On a busy machine; it costs only where something is wrong. */
const TIMEOUT_MILLISECONDS = 240_000

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: Record<string, string>
  input?: string
  /** Without what names the server and signs in. */
  signedOut?: boolean
  /** For what takes longer than four minutes. */
  timeoutMilliseconds?: number
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
  /** What came on both streams so far. */
  readonly output: () => string
  /** Until the output has it. Throws when the command ended without it, or took too long. */
  readonly waitFor: (text: string | RegExp) => Promise<void>
  /** The same for anything else that it does. */
  readonly until: (what: string, isSo: () => boolean) => Promise<void>
  readonly write: (text: string) => void
}

export interface Shell extends Disposable {
  readonly home: string
  readonly run: (args: string[], options?: RunOptions) => Promise<Outcome>
  readonly start: (args: string[], options?: RunOptions) => Running
  /** On a terminal of `columns`, by util-linux's `script`. */
  readonly startOnTerminal: (args: string[], options?: RunOptions & { columns?: number }) => Running
}

export function createShell(port: number): Shell {
  const home = mkdtempSync(join(tmpdir(), 'stampede-cli-'))
  const children = new Set<ChildProcess>()

  function environment({ env = {}, signedOut }: RunOptions): Record<string, string> {
    return {
      // No Node in it: the launcher brings its own.
      PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
      HOME: home,
      TMPDIR: home,
      TZ: 'UTC',
      TERM: 'xterm',
      ...fasterStart(),
      ...(!signedOut && {
        STAMPEDE_SERVER: `http://127.0.0.1:${port}`,
        STAMPEDE_TOKEN: ADMIN_TOKEN,
      }),
      ...env,
    }
  }

  function launch(command: string, args: string[], options: RunOptions): Running {
    const child = spawn(command, args, { env: environment(options), cwd: home })
    children.add(child)
    return follow(child, options)
  }

  const start = (args: string[], options: RunOptions = {}) => launch(LAUNCHER, args, options)
  return {
    home,
    start,
    run: (args, options = {}) => start(args, { input: '', ...options }).ended,
    startOnTerminal(args, options = {}) {
      const quoted = [LAUNCHER, ...args].map((arg) => `'${arg.replaceAll("'", `'\\''`)}'`).join(' ')
      const command = `stty cols ${options.columns ?? 100} rows 40; exec ${quoted}`
      return launch(
        'script',
        ['--quiet', '--return', '--flush', '--command', command, '/dev/null'],
        options,
      )
    },
    [Symbol.dispose]() {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function follow(child: ChildProcess, options: RunOptions): Running {
  const { input, timeoutMilliseconds = TIMEOUT_MILLISECONDS } = options
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin!.on('error', () => {})
  if (input !== undefined) child.stdin!.end(input)
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMilliseconds)
  const ended = once(child, 'close').then(([code]): Outcome => {
    clearTimeout(timer)
    return { code: code as number | null, stdout, stderr }
  })
  const output = () => stripVTControlCharacters(stdout + stderr)
  let hasEnded = false
  void ended.then(() => (hasEnded = true))
  const until = async (what: string, isSo: () => boolean) => {
    while (!isSo()) {
      if (hasEnded) throw new Error(`It ended without ${what}:\n${output()}`)
      await new Promise((done) => setTimeout(done, 5))
    }
  }
  return {
    child,
    ended,
    output,
    write: (text) => void child.stdin!.write(text),
    until,
    waitFor: (text) =>
      until(String(text), () =>
        typeof text === 'string' ? output().includes(text) : text.test(output()),
      ),
  }
}
