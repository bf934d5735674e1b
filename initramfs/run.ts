import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

/** The slowest command, compressing on one slow core, stays far below this. */
const COMMAND_TIMEOUT_MS = 15 * 60_000
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024

/** Runs a program and returns what it prints. Throws with its error output if it fails. */
export async function run(
  program: string,
  args: string[],
  options: { cwd?: string } = {},
): Promise<string> {
  try {
    const { stdout } = await execFileAsync(program, args, {
      ...options,
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: OUTPUT_LIMIT_BYTES,
      timeout: COMMAND_TIMEOUT_MS,
    })
    return stdout
  } catch (err) {
    throw new Error(explain(program, args, err), { cause: err })
  }
}

function explain(program: string, args: string[], err: unknown): string {
  if (err instanceof Error && 'code' in err && err.code === 'ENOENT') {
    return `The program "${program}" is missing; install the Debian package that holds it`
  }
  const stderr = err instanceof Error && 'stderr' in err ? String(err.stderr).trim() : String(err)
  // The last words of a command say what was asked; apt's begin with a page of options.
  return `"${program} … ${args.slice(-2).join(' ')}" failed: ${stderr.slice(-2000)}`
}
