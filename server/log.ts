import { DrizzleQueryError } from 'drizzle-orm'
import { pino, stdSerializers, type Logger } from 'pino'
import pinoPretty from 'pino-pretty'

/** Should one of these ever reach a log call, its value does not reach the log. */
const SECRETS = ['token', 'bootToken', 'sessionToken', 'adminToken', 'authorization', 'password']
const PATHS = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/**
 * Logs go to standard error, for people on a terminal and as JSON lines elsewhere; standard output
 * is for what an operator reads at the start.
 */
export function createLog(): Logger {
  const redact = { paths: PATHS, censor: '[secret]' }
  const options = { level: 'info', base: undefined, redact, serializers: { err: describeError } }
  return process.stderr.isTTY
    ? pino(options, pinoPretty({ destination: 2, translateTime: 'SYS:HH:MM:ss', sync: true }))
    : pino(options, pino.destination({ dest: 2, sync: true }))
}

/** A query that failed tells all its values, such as hashes of passwords: its reason and its text suffice. */
export function describeError(err: Error): object {
  if (!(err instanceof DrizzleQueryError) || !err.cause) return stdSerializers.err(err)
  const { type, message, stack, code } = stdSerializers.err(err.cause)
  return { type, message, stack, code, query: err.query }
}
