/** How a command ended, for scripts; docs/cli.md tells them. */
export const EXIT = {
  ok: 0,
  /** The server, the run or the check failed. */
  failed: 1,
  /** The command line makes no sense, or a question could not be asked. */
  usage: 2,
  notFound: 3,
  /** Not signed in, or not allowed. */
  auth: 4,
  unreachable: 5,
  /** Refused because of how things are: in use, locked, no room, changed meanwhile, nothing confirmed. */
  refused: 6,
  interrupted: 130,
} as const

/** What a person reads, and the exit code that a script sees. */
export class CliError extends Error {
  override name = 'CliError'
  readonly exitCode: number
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export class UsageError extends CliError {
  override name = 'UsageError'
  constructor(message: string) {
    super(EXIT.usage, message)
  }
}

/** The server's own words. */
export class ApiError extends CliError {
  override name = 'ApiError'
  readonly status: number
  readonly code: string
  readonly details: unknown

  constructor(status: number, code: string, message: string, details?: unknown) {
    super(exitCodeOf(status, code), message)
    this.status = status
    this.code = code
    this.details = details
  }
}

export class UnreachableError extends CliError {
  override name = 'UnreachableError'
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.unreachable, message, options)
  }
}

/** The server answers, and has as much to do as it takes: nothing is away. */
const BUSY_CODES: ReadonlySet<string> = new Set(['too-many-pulls', 'too-many-uploads'])

function exitCodeOf(status: number, code: string): number {
  if (BUSY_CODES.has(code)) return EXIT.refused
  if (status === 400) return EXIT.usage
  if (status === 401 || status === 403) return EXIT.auth
  if (status === 404 || status === 410) return EXIT.notFound
  if (status >= 400 && status < 500) return EXIT.refused
  if (status === 507) return EXIT.refused
  // What stands before a server that is away.
  if (status === 502 || status === 503 || status === 504) return EXIT.unreachable
  return EXIT.failed
}
