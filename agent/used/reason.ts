import { ExecError } from '../exec.ts'

/** blkid(8): more than one thing was found. */
const BLKID_AMBIVALENT = 8

/** Programs of e2fsprogs begin with their version. */
const VERSION_LINE = /: \w+ [\d.]+ \([\w-]+\)\n/

/** One line of what went wrong. */
export function reasonOf(err: unknown): string {
  if (
    err instanceof ExecError &&
    err.exitCode === BLKID_AMBIVALENT &&
    err.message.startsWith('"blkid ')
  )
    return 'it looks like more than one thing'
  const text = err instanceof Error ? err.message : String(err)
  return text.replace(VERSION_LINE, ': ').split('\n')[0]!
}
