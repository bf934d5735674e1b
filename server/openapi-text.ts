import './thread-pool.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openApp } from './app.ts'
import { readConfig } from './config.ts'

/**
 * The OpenAPI text of a server that has every route: opened for a moment on the loopback, with an
 * empty data folder of its own. Run as a program, it prints the text.
 */
export async function readOpenApi(): Promise<string> {
  await using opened = new AsyncDisposableStack()
  const dataFolder = await mkdtemp(join(tmpdir(), 'stampede-openapi-'))
  opened.defer(() => rm(dataFolder, { recursive: true, force: true }))
  const config = readConfig({
    STAMPEDE_DATA: dataFolder,
    STAMPEDE_HTTP: '127.0.0.1:0',
    STAMPEDE_DHCP: 'off',
  })
  const app = opened.use(await openApp(config, { log: pino({ level: 'silent' }) }))
  return `${JSON.stringify(app.http.swagger(), null, 2)}\n`
}

if (import.meta.main) process.stdout.write(await readOpenApi())
