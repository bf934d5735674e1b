import { pino, type Logger } from 'pino'
import pinoPretty from 'pino-pretty'

/** Should one of these ever reach a log call, its value does not reach the log. */
const SECRETS = ['token', 'bootToken', 'sessionToken', 'adminToken', 'authorization', 'password']
const PATHS = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/**
 * Logs go to standard error, for people on a terminal and as JSON lines elsewhere; standard output
 * is for what an operator reads at the start.
 */
export function createLog(): Logger {
  const options = { level: 'info', base: undefined, redact: { paths: PATHS, censor: '[secret]' } }
  return process.stderr.isTTY
    ? pino(options, pinoPretty({ destination: 2, translateTime: 'SYS:HH:MM:ss', sync: true }))
    : pino(options, pino.destination({ dest: 2, sync: true }))
}
