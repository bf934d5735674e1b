import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { openEventFeed } from './api/events/event-feed.ts'
import { openImagePulls } from './api/images/image-pulls.ts'
import { openUploads } from './api/uploads/open-uploads.ts'
import { openBootProgress } from './network/boot-progress.ts'
import { openStoreMigrations } from './care/migrate-job.ts'
import { openStoreCare, type StoreCare } from './care/store-care.ts'
import type { Config } from './config.ts'
import { openAdminToken, openDataFolder, type AdminToken } from './data-folder.ts'
import { refuseBesideAnother } from './network/dhcp-service.ts'
import type { OpenedDatabase } from './db/database.ts'
import { openDatabase } from './db/open-database.ts'
import { openImageFiles } from './images/files/image-files.ts'
import { openHttp } from './http/http-server.ts'
import { openImageService, spoolFolderOf } from './store/image-service.ts'
import { listen, listenTls } from './http/http-listen.ts'
import { createMetrics } from './metrics.ts'
import { openNetwork } from './network/network.ts'
import { openPeople } from './callers/people.ts'
import { openReceiptSigner } from './receipt-key.ts'
import { addRoutes, type Reach } from './routes.ts'
import { openRunReports } from './runs/reports.ts'
import { openSessionCache } from './callers/session-cache.ts'
import { openTicker } from './ticker.ts'
import { openWebhookSender } from './webhooks/webhooks.ts'

export interface App extends AsyncDisposable {
  http: FastifyInstance
  /** How machines reach us. */
  url: string
  port: number
  /** Of HTTPS, if there is a certificate. */
  tlsPort: number | undefined
  adminToken: AdminToken
  database: OpenedDatabase
  /** What machines can boot. */
  bootFileNames: string[]
  /** Where TFTP answers, or why it does not, for people. */
  tftp: string
  /** Does at once what time does by itself. */
  tick: () => Promise<void>
}

export interface AppOptions {
  log: FastifyBaseLogger
  /** The clocks, for tests that cannot wait; `steady`, in milliseconds, is never set. */
  now?: () => Date
  steady?: () => number
}

/** Opens everything that the configuration asks for; all of it is closed in reverse. */
export async function openApp(
  config: Config,
  { log, now = () => new Date(), steady = () => performance.now() }: AppOptions,
): Promise<App> {
  await using opened = new AsyncDisposableStack()
  opened.use(await openDataFolder(config.dataFolder))
  await refuseBesideAnother(config)
  const adminToken = await openAdminToken(config.dataFolder, config.adminToken)
  const database = opened.use(await openDatabase(config.database))
  const { db } = database
  const metrics = createMetrics(db, () => care.status())
  const receipts = await openReceiptSigner(config, db, now())
  const feed = opened.use(await openEventFeed(database))
  const library = opened.use(
    await openImageService({
      config,
      database,
      log,
      onDamaged: (hash, reason) => void care.report(hash, reason),
      lacking: (digest) => care.lacking(digest),
      now,
    }),
  )
  const care: StoreCare = opened.use(await openStoreCare({ config, database, library, log }))
  const { store } = library
  const migrations = opened.use(
    openStoreMigrations({ config, database, store, findLost: care.findLost, log }),
  )
  const uploads = opened.use(openUploads({ library, log, now }))
  const { maxImageBytes, pullLocal: allowsLocal } = config
  const isAlone = config.database.kind === 'embedded'
  const pulls = opened.use(
    await openImagePulls({ database, isAlone, library, allowsLocal, maxImageBytes, log }),
  )
  const files = opened.use(
    openImageFiles({ spoolFolder: spoolFolderOf(config), openDisk: library.openDisk }),
  )
  const sessions = opened.use(await openSessionCache(database))
  const people = opened.use(await openPeople({ database, now }))
  const boots = opened.use(openBootProgress({ ...config, db, log, now }))
  const reports = opened.use(
    await openRunReports({
      database,
      onError: (err) => log.error({ err }, 'Failed to save progress'),
    }),
  )
  const ticker = opened.use(openTicker({ ...config, database, reports, log, now, steady }))
  const webhooks = opened.use(await openWebhookSender({ database, log, now }))

  const reach: Reach = {
    url: config.serverUrl(config.http.port),
    tftp: 'off',
    bootFiles: undefined,
  }
  const { http, tls, stopping } = opened.use(
    await openHttp({
      log,
      tls: config.tls,
      adminToken: adminToken.token,
      findSession: (hash) => sessions.find(hash),
      findPerson: people.find,
      onPeopleChange: people.onChange,
    }),
  )
  await addRoutes(http, {
    config,
    database,
    adminToken: adminToken.token,
    people,
    metrics,
    receipts,
    feed,
    webhooks,
    library,
    care,
    migrations,
    uploads,
    pulls,
    files,
    boots,
    reports,
    reach,
    stopping,
    log,
    now,
  })

  const port = await listen(http, config.http)
  const tlsPort = tls && config.tls && (await listenTls(tls.server, config.tls))
  reach.url = config.serverUrl(port)
  const network = await openNetwork({ config, url: reach.url, db, boots, metrics, log, now })
  const { tftp, bootFiles } = opened.use(network)
  Object.assign(reach, { tftp, bootFiles })

  const resources = opened.move() // everything opened: keep it; a throw above closed it all
  return {
    http,
    url: reach.url,
    port,
    tlsPort,
    adminToken,
    database,
    bootFileNames: [...((await bootFiles?.names()) ?? [])].toSorted(),
    tftp,
    async tick() {
      await ticker.tick()
      await webhooks.settle()
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
