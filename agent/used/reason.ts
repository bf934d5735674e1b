import { ExecError } from '../exec.ts'

/** blkid(8): more than one thing was found. */
const BLKID_AMBIVALENT = 8

/** One line of what went wrong. */
export function reasonOf(err: unknown): string {
  if (
    err instanceof ExecError &&
    err.exitCode === BLKID_AMBIVALENT &&
    err.message.startsWith('"blkid ')
  )
    return 'it looks like more than one thing'
  const text = err instanceof Error ? err.message : String(err)
  return text.split('\n')[0]!
}
