import { join } from 'node:path'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { findAgentFile } from './agent-files.ts'
import { accountRoutes } from './api/accounts/account-routes.ts'
import { agentRoutes } from './api/runs/agent-routes.ts'
import { installAudit } from './api/access/audit.ts'
import { bootRoutes } from './api/boot/boot-routes.ts'
import { bootyEnds } from './api/boot/booty-ends.ts'
import { reportBootyProgress } from './api/boot/booty-progress.ts'
import { bootyRoutes } from './api/boot/booty-routes.ts'
import { chunkRoutes } from './api/chunks/chunk-routes.ts'
import { installCompression } from './api/http/compression.ts'
import { installDocs } from './api/docs/docs-routes.ts'
import { installIdempotency } from './api/idempotency.ts'
import { openEventFeed } from './api/events/event-feed.ts'
import { eventRoutes } from './api/events/event-routes.ts'
import { exportRoutes } from './api/exports/export-routes.ts'
import { fileRoutes } from './api/images/file-routes.ts'
import { healthRoutes } from './api/system/health-routes.ts'
import { imageRoutes } from './api/images/image-routes.ts'
import { leaseRoutes } from './api/network/lease-routes.ts'
import { linkRoutes } from './api/exports/link-routes.ts'
import { machineBulkRoutes } from './api/machines/machine-bulk-routes.ts'
import { machineRoutes } from './api/machines/machine-routes.ts'
import { machineScriptRoutes } from './api/machines/machine-script-routes.ts'
import { migrationRoutes } from './api/store/migration-routes.ts'
import { networkRoutes } from './api/network/network-routes.ts'
import { openImagePulls } from './api/images/image-pulls.ts'
import { planRoutes } from './api/runs/plan-routes.ts'
import { openUploads } from './api/uploads/open-uploads.ts'
import { receiptRoutes } from './api/runs/receipt-routes.ts'
import { pullRoutes } from './api/images/pull-routes.ts'
import { runRoutes } from './api/runs/run-routes.ts'
import { uploadRoutes } from './api/uploads/upload-routes.ts'
import { runStartRoutes } from './api/runs/run-start-routes.ts'
import { systemRoutes } from './api/system/system-routes.ts'
import { storeRoutes } from './api/store/store-routes.ts'
import { versionRoutes } from './api/images/version-routes.ts'
import { webRoutes } from './api/system/web-routes.ts'
import { webhookRoutes } from './api/events/webhook-routes.ts'
import type { BootFiles } from './network/boot-files.ts'
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
import { readNetworkStatus } from './network/network-status.ts'
import { openNetwork } from './network/network.ts'
import { openPeople } from './callers/people.ts'
import { createProof } from './callers/proof.ts'
import { openReceiptSigner } from './receipt-key.ts'
import { openRunReports } from './runs/reports.ts'
import { openSessionCache } from './callers/session-cache.ts'
import { readSystemStatus } from './system-status.ts'
import { openTicker } from './ticker.ts'
import { openWebhookSender } from './webhooks/webhooks.ts'

/** What `npm run web:build` makes. */
const WEB_FOLDER = join(import.meta.dirname, '../web/dist')

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

  // Known for good when the port is open, which comes last.
  let url = config.serverUrl(config.http.port)
  let bootFiles: BootFiles | undefined
  let tftp = 'off'

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
  installIdempotency(http, { db, now })
  installAudit(http, { database, now })
  await installCompression(http)
  await installDocs(http)
  await http.register(healthRoutes({ db, metrics: metrics.registry }))
  const accounts = { database, adminToken: adminToken.token, forgetPeople: people.forget, now }
  await http.register(accountRoutes(accounts), { prefix: '/api' })
  await http.register(machineRoutes({ db }), { prefix: '/api' })
  await http.register(machineBulkRoutes({ db }), { prefix: '/api' })
  await http.register(planRoutes({ database, now }), { prefix: '/api' })
  await http.register(runStartRoutes({ database, checkCapture: care.checkCapture, now }), {
    prefix: '/api',
  })
  await http.register(runRoutes({ database, reports, now }), { prefix: '/api' })
  await http.register(receiptRoutes({ db, key: receipts.publicKey }), { prefix: '/api' })
  await http.register(leaseRoutes({ db }), { prefix: '/api' })
  await http.register(eventRoutes({ feed, stopping }), { prefix: '/api' })
  await http.register(webhookRoutes({ db, now, sender: webhooks }), { prefix: '/api' })
  await http.register(imageRoutes({ database, library, uploads }), { prefix: '/api' })
  const { retention } = config
  await http.register(versionRoutes({ database, library, retention, now }), { prefix: '/api' })
  await http.register(pullRoutes({ db, pulls, uploads }), { prefix: '/api' })
  await http.register(fileRoutes({ db, files }), { prefix: '/api' })
  await http.register(uploadRoutes({ uploads }), { prefix: '/api' })
  await http.register(chunkRoutes({ database, library, care, redirect: config.storeRedirect }))
  await http.register(exportRoutes({ database, library }))
  const isProven = createProof({ ...config, db, log, now })
  const serverUrl = () => url
  const { unknown } = config
  await http.register(machineScriptRoutes({ database, serverUrl, unknown, now }), {
    prefix: '/api',
  })
  const startedAt = now()
  const facts = () => ({
    config,
    db,
    url,
    tftp,
    bootFileNames: async () => (await bootFiles?.names()) ?? new Set<string>(),
    startedAt,
    now,
  })
  const networkStatus = () => readNetworkStatus(facts())
  await http.register(networkRoutes({ status: networkStatus }), { prefix: '/api' })
  const storeStatistics = () => library.statistics()
  const storeRoom = () => library.room()
  const systemStatus = () => readSystemStatus({ ...facts(), storeStatistics, storeRoom })
  await http.register(systemRoutes({ status: systemStatus }), { prefix: '/api' })
  const sweep = () => library.sweep()
  await http.register(storeRoutes({ ...care, sweep }), { prefix: '/api' })
  await http.register(migrationRoutes(migrations), { prefix: '/api' })
  const signReceipt = receipts.sign
  reportBootyProgress(http, { database, now })
  const ends = bootyEnds({ database, signReceipt, log, now })
  await http.register(linkRoutes({ database, library, serverUrl, now, ...ends }))
  if (config.booty) await http.register(bootyRoutes({ database, serverUrl, isProven, now }))
  await http.register(agentRoutes({ database, reports, signReceipt, now }), { prefix: '/agent' })
  await http.register(
    bootRoutes({
      database,
      serverUrl,
      unknown: config.unknown,
      isProven,
      bootFiles: async () => (await bootFiles?.files()) ?? new Map(),
      findAgentFile: (name) => findAgentFile(config.dataFolder, name),
      onFile: (remoteAddress, file) => boots.file(remoteAddress, file),
      onProof: (remoteAddress, mac) => boots.remember(remoteAddress, mac),
      now,
    }),
  )
  await http.register(webRoutes({ folder: WEB_FOLDER }))

  const port = await listen(http, config.http)
  const tlsPort = tls && config.tls && (await listenTls(tls.server, config.tls))
  url = config.serverUrl(port)
  const network = opened.use(await openNetwork({ config, url, db, boots, metrics, log, now }))
  bootFiles = network.bootFiles
  tftp = network.tftp

  const resources = opened.move() // everything opened: keep it; a throw above closed it all
  return {
    http,
    url,
    port,
    tlsPort,
    adminToken,
    database,
    bootFileNames: [...((await bootFiles?.names()) ?? [])].toSorted(),
    tftp: network.tftp,
    async tick() {
      await ticker.tick()
      await webhooks.settle()
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
