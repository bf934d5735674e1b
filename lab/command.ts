import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

/** Longest time that an ordinary command of the lab may take. */
const COMMAND_TIMEOUT_MS = 120_000
const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024

export type CommandOptions = {
  cwd?: string
  env?: NodeJS.ProcessEnv
  timeoutMs?: number
}

/** Runs a command to its end and returns what it printed. Throws with its stderr if it fails. */
export async function run(
  command: string,
  args: string[],
  options: CommandOptions = {},
): Promise<string> {
  const { timeoutMs = COMMAND_TIMEOUT_MS, ...rest } = options
  try {
    const { stdout } = await execFileAsync(command, args, {
      ...rest,
      timeout: timeoutMs,
      maxBuffer: OUTPUT_LIMIT_BYTES,
      killSignal: 'SIGKILL',
    })
    return stdout
  } catch (error) {
    throw new Error(`Command "${[command, ...args].join(' ')}" failed: ${reason(error)}`, {
      cause: error,
    })
  }
}

function reason(error: unknown): string {
  const { code, stderr, killed } = error as { code?: unknown; stderr?: string; killed?: boolean }
  if (code === 'ENOENT') return 'it is not installed'
  const text = stderr?.trim().split('\n').slice(-5).join('\n') || `exit code ${String(code)}`
  return killed ? `it ran into its time limit; ${text}` : text
}
