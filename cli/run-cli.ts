import { inspect } from 'node:util'
import { CommanderError } from 'commander'
import { CliError, EXIT } from './errors.ts'
import { createProgram } from './program.ts'
import { paint, printableLines } from './text/text.ts'

/** The command line. Returns its exit code. */
export async function runCli(args: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    await createProgram(signal).parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (err) {
    return explainEnd(err, signal)
  }
}

function explainEnd(err: unknown, signal: AbortSignal): number {
  // commander has said what it is about.
  if (err instanceof CommanderError) return err.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (signal.aborted && (err === signal.reason || isAbort(err)))
    return (signal.reason as { signalName?: string }).signalName === 'SIGTERM'
      ? 143
      : EXIT.interrupted
  const message = err instanceof Error ? err.message : String(err)
  if (message !== '') process.stderr.write(`${paint('red', 'Error:')} ${printableLines(message)}\n`)
  if (process.env.STAMPEDE_DEBUG === '1' && err instanceof Error)
    process.stderr.write(`${inspect(err)}\n`)
  return err instanceof CliError ? err.exitCode : EXIT.failed
}

function isAbort(err: unknown): boolean {
  return err instanceof Error && err.name === 'AbortError'
}
