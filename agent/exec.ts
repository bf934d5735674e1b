import { execFile } from 'node:child_process'

/** What a program writes to us is read by people or parsed: more than this is a fault. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
const DEFAULT_TIMEOUT_SECONDS = 60
/** The end of stderr says what went wrong. */
const MAX_ERROR_CHARACTERS = 2000

export interface ExecOptions {
  timeoutSeconds?: number
  signal?: AbortSignal
  /** Written to the program's stdin, which is empty otherwise. */
  input?: string
  /** Added to our own environment; LC_ALL is always C. */
  env?: Record<string, string>
  cwd?: string
  /** Exit codes that are answers rather than failures; 0 always is one. */
  allowExitCodes?: readonly number[]
}

export interface ExecResult {
  stdout: string
  stderr: string
  exitCode: number
}

/** Runs a program; bound to a run's abort signal it is `context.exec`. */
export type Exec = (
  command: string,
  args: readonly string[],
  options?: ExecOptions,
) => Promise<ExecResult>

/** A program that could not be started, failed, or took too long. */
export class ExecError extends Error {
  override name = 'ExecError'
  /** undefined: it was not found, or a signal ended it. */
  readonly exitCode: number | undefined
  readonly stderr: string

  constructor(message: string, exitCode: number | undefined, stderr: string) {
    super(message)
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

/** Runs a program without a shell and waits for its end. Throws ExecError. */
export async function exec(
  command: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const { signal, input, cwd } = options
  const timeoutSeconds = options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
  signal?.throwIfAborted()
  return await new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        timeout: timeoutSeconds * 1000,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        env: { ...process.env, LC_ALL: 'C', ...options.env },
        ...(signal && { signal }),
        ...(cwd !== undefined && { cwd }),
      },
      (err, stdout, stderr) => {
        if (!err) return resolve({ stdout, stderr, exitCode: 0 })
        const exitCode = typeof err.code === 'number' ? err.code : undefined
        if (signal?.aborted) return reject(signal.reason)
        if (exitCode !== undefined && options.allowExitCodes?.includes(exitCode))
          return resolve({ stdout, stderr, exitCode })
        const reason = failureReason(err, exitCode, timeoutSeconds)
        const said = stderr.trim().slice(-MAX_ERROR_CHARACTERS)
        const call = err.code === 'ENOENT' ? command : [command, ...args].join(' ')
        const message = `"${call}" ${reason}${said && `: ${said}`}`
        reject(new ExecError(message, exitCode, stderr))
      },
    )
    // A program that ends without reading its input is no error of ours: its exit code tells.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

function failureReason(
  err: { code?: string | number | null; killed?: boolean; signal?: string | null },
  exitCode: number | undefined,
  timeoutSeconds: number,
): string {
  if (err.code === 'ENOENT') return 'is not installed'
  if (exitCode !== undefined) return `failed with exit code ${exitCode}`
  if (err.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'printed too much'
  if (err.killed) return `was stopped after ${timeoutSeconds} s`
  return `ended by ${err.signal ?? `error ${err.code}`}`
}
