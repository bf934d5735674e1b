import { stat } from 'node:fs/promises'
import { CliError, EXIT, UsageError } from './errors.ts'

/** What the file system of this computer refuses, in sentences. */

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'what it would be in is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'you may not',
  EPERM: 'you may not',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its disk is full; make room, and try again',
  EDQUOT: 'your quota is used up; make room, and try again',
  EFBIG: 'its file system takes no file of that size',
  EEXIST: 'it is there already; add --force to replace it',
  EIO: 'its disk fails',
}

function reasonOf(err: unknown): string {
  const { code, message } = err as NodeJS.ErrnoException
  return (code !== undefined && REASONS[code]) || message
}

export function unreadable(path: string, err: unknown): UsageError {
  return new UsageError(`${path} cannot be read: ${reasonOf(err)}`)
}

/** While it is written: before that, an output that cannot be is a `UsageError`. */
export function unwritable(path: string, err: unknown): UnwritableError {
  const isNowhere = (err as NodeJS.ErrnoException).code === 'ENOENT'
  const reason = isNowhere ? 'there is no such folder' : reasonOf(err)
  return new UnwritableError(EXIT.failed, `${path} cannot be written: ${reason}`)
}

export class UnwritableError extends CliError {
  override name = 'UnwritableError'
}

/** Whether the file system said so, and not the server or its network. */
export function isFileError(err: unknown): boolean {
  const { syscall, code } = err as Partial<NodeJS.ErrnoException>
  return !(err instanceof CliError) && syscall !== undefined && code !== undefined
}

/** Throws if there is a folder of that name, or a file that is not to be replaced. */
export async function refuseOutput(path: string, isForced = false): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) throw new UsageError(`${path} is a folder; name a file in it`)
  if (found && !isForced)
    throw new CliError(EXIT.refused, `${path} is there already; add --force to replace it`)
}
