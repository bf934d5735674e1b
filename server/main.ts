import './thread-pool.ts'
import { once } from 'node:events'
import { findAgentFile } from './agent-files.ts'
import { openApp, type App } from './app.ts'
import { NoBootFilesError } from './network/boot-files.ts'
import { ConfigError, readConfig, type Config } from './config.ts'
import { DataFolderError } from './data-folder.ts'
import { DatabaseOpenError } from './db/open-database.ts'
import type { DatabaseFailedError } from './db/embedded-failure.ts'
import { SocketError } from './dhcp/system-calls.ts'
import { ListenError } from './http/http-listen.ts'
import { createLog } from './log.ts'
import { ServiceError } from './service-error.ts'
import { startText } from './start-text.ts'

/** Their messages tell the operator what to change; anything else is a bug and gets its stack. */
const OPERATOR_ERRORS = [
  ConfigError,
  DataFolderError,
  DatabaseOpenError,
  ListenError,
  NoBootFilesError,
  ServiceError,
  SocketError,
]

async function main(): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(1) // asked twice: no more patience
      stop.abort()
    })

  const log = createLog()
  const config = readConfig(process.env)
  for (const warning of config.warnings) log.warn(warning)
  await using app = await openApp(config, { log })
  // A bug must not end what a hundred machines are waiting for; all state is in the database.
  process.on('uncaughtException', (err) => log.error({ err }, 'Unexpected failure, going on'))
  app.database.failed.addEventListener('abort', () => endWith(app.database.failed.reason))
  await announce(config, app)

  if (!stop.signal.aborted) await once(stop.signal, 'abort')
  console.log('Stopping')
}

/** At once, as if killed: there is nothing that could still be saved. */
function endWith(failure: DatabaseFailedError): never {
  console.error(failure.message)
  process.exit(1)
}

async function announce(config: Config, app: App): Promise<void> {
  const kernel = await findAgentFile(config.dataFolder, 'kernel')
  const initrd = await findAgentFile(config.dataFolder, 'initrd')
  console.log(startText({ config, app, hasAgent: kernel !== undefined && initrd !== undefined }))
}

try {
  await main()
} catch (err) {
  const isForOperator = OPERATOR_ERRORS.some((kind) => err instanceof kind)
  console.error(isForOperator ? (err as Error).message : err)
  process.exitCode = 1
}
