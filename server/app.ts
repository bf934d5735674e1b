import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createHttp } from './api/http.ts'
import { installDocs } from './api/docs-routes.ts'
import { healthRoutes } from './api/health-routes.ts'
import { leaseRoutes } from './api/lease-routes.ts'
import { machineRoutes } from './api/machine-routes.ts'
import { runRoutes } from './api/run-routes.ts'
import type { Config } from './config.ts'
import { openAdminToken, openDataFolder, type AdminToken } from './data-folder.ts'
import { openDatabase, type OpenedDatabase } from './db/database.ts'
import { findSession } from './db/tokens.ts'
import { createMetrics } from './metrics.ts'

export interface App extends AsyncDisposable {
  http: FastifyInstance
  /** How machines reach us. */
  url: string
  port: number
  adminToken: AdminToken
  database: OpenedDatabase
}

export interface AppOptions {
  log: FastifyBaseLogger
  /** The clock, for tests that cannot wait. */
  now?: () => Date
}

/** Opens everything that the configuration asks for; all of it is closed in reverse. */
export async function openApp(
  config: Config,
  { log, now = () => new Date() }: AppOptions,
): Promise<App> {
  await using opened = new AsyncDisposableStack()
  opened.use(await openDataFolder(config.dataFolder))
  const adminToken = await openAdminToken(config.dataFolder, config.adminToken)
  const database = opened.use(await openDatabase(config.database))
  const { db } = database
  const metrics = createMetrics(db)

  const http = opened.adopt(
    createHttp({
      log,
      adminToken: adminToken.token,
      findSession: (hash) => findSession(db, hash),
    }),
    (server) => server.close(),
  )
  await installDocs(http)
  await http.register(healthRoutes({ db, metrics: metrics.registry }))
  await http.register(machineRoutes({ db }), { prefix: '/api' })
  await http.register(runRoutes({ database, now }), { prefix: '/api' })
  await http.register(leaseRoutes({ db }), { prefix: '/api' })

  await http.listen({ host: config.http.host, port: config.http.port })
  const address = http.server.address()
  const port = typeof address === 'object' && address ? address.port : config.http.port

  const resources = opened.move() // everything opened: keep it; a throw above closed it all
  return {
    http,
    url: config.serverUrl(port),
    port,
    adminToken,
    database,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
