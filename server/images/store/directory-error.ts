import { StoreFullError, StoreUnreachableError } from './chunk-store.ts'

/** What system calls on the files of a directory store throw, and what its callers are told. */

export function codeOf(err: unknown): string | undefined {
  return (err as NodeJS.ErrnoException).code
}

/** For `catch`: undefined for an error with this code. */
export function ignore(code: string): (err: unknown) => undefined {
  return (err) => {
    if (codeOf(err) !== code) throw err
    return undefined
  }
}

/** An error of a store; a bug of ours stays what it is. */
export function storeError(cause: unknown): unknown {
  const code = codeOf(cause)
  if (code === undefined || cause instanceof TypeError) return cause
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StoreFullError('The chunk store is full; make room or delete images', { cause })
  const what = code === 'EROFS' ? 'cannot be written' : 'does not answer'
  return new StoreUnreachableError(`The chunk store ${what}: ${(cause as Error).message}`, {
    cause,
  })
}
