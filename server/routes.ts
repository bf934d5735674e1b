import { join } from 'node:path'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { findAgentFile } from './agent-files.ts'
import { installAudit } from './api/access/audit.ts'
import { accountRoutes } from './api/accounts/account-routes.ts'
import { bootRoutes } from './api/boot/boot-routes.ts'
import { bootyEnds } from './api/boot/booty-ends.ts'
import { reportBootyProgress } from './api/boot/booty-progress.ts'
import { bootyRoutes } from './api/boot/booty-routes.ts'
import { chunkRoutes } from './api/chunks/chunk-routes.ts'
import { installDocs } from './api/docs/docs-routes.ts'
import type { EventFeed } from './api/events/event-feed.ts'
import { eventRoutes } from './api/events/event-routes.ts'
import { webhookRoutes } from './api/events/webhook-routes.ts'
import { exportRoutes } from './api/exports/export-routes.ts'
import { linkRoutes } from './api/exports/link-routes.ts'
import { linkedImageRoutes } from './api/exports/linked-image-routes.ts'
import { installCompression } from './api/http/compression.ts'
import { installIdempotency } from './api/idempotency.ts'
import { fileRoutes } from './api/images/file-routes.ts'
import type { ImagePulls } from './api/images/image-pulls.ts'
import { imageRoutes } from './api/images/image-routes.ts'
import { pullRoutes } from './api/images/pull-routes.ts'
import { versionRoutes } from './api/images/version-routes.ts'
import type { ImageLibrary } from './api/library/image-library.ts'
import { machineBulkRoutes } from './api/machines/machine-bulk-routes.ts'
import { machineRoutes } from './api/machines/machine-routes.ts'
import { machineScriptRoutes } from './api/machines/machine-script-routes.ts'
import { leaseRoutes } from './api/network/lease-routes.ts'
import { networkRoutes } from './api/network/network-routes.ts'
import { agentRoutes } from './api/runs/agent-routes.ts'
import { planRoutes } from './api/runs/plan-routes.ts'
import { receiptRoutes } from './api/runs/receipt-routes.ts'
import { runRoutes } from './api/runs/run-routes.ts'
import { runStartRoutes } from './api/runs/run-start-routes.ts'
import { migrationRoutes } from './api/store/migration-routes.ts'
import { storeRoutes } from './api/store/store-routes.ts'
import { healthRoutes } from './api/system/health-routes.ts'
import { systemRoutes } from './api/system/system-routes.ts'
import { webRoutes } from './api/system/web-routes.ts'
import type { OpenUploads } from './api/uploads/open-uploads.ts'
import { uploadRoutes } from './api/uploads/upload-routes.ts'
import type { People } from './callers/people.ts'
import { createProof } from './callers/proof.ts'
import type { StoreMigrations } from './care/migrate-job.ts'
import type { StoreCare } from './care/store-care.ts'
import type { Config } from './config.ts'
import type { OpenedDatabase } from './db/database.ts'
import type { ImageFiles } from './images/files/image-files.ts'
import type { Metrics } from './metrics.ts'
import type { BootFiles } from './network/boot-files.ts'
import type { BootProgress } from './network/boot-progress.ts'
import { readNetworkStatus } from './network/network-status.ts'
import type { ReceiptSigner } from './receipt-key.ts'
import type { RunReports } from './runs/reports.ts'
import { readSystemStatus } from './system-status.ts'
import type { WebhookSender } from './webhooks/webhooks.ts'

/** What `npm run web:build` makes. */
const WEB_FOLDER = join(import.meta.dirname, '../web/dist')

/** How machines reach us; known for good when the port is open, which comes after the routes. */
export interface Reach {
  url: string
  /** Where TFTP answers, or why it does not, for people. */
  tftp: string
  bootFiles: BootFiles | undefined
}

/** What was opened, for routes to use. */
export interface Parts {
  config: Config
  database: OpenedDatabase
  adminToken: string
  people: People
  metrics: Metrics
  receipts: ReceiptSigner
  feed: EventFeed
  webhooks: WebhookSender
  library: ImageLibrary
  care: StoreCare
  migrations: StoreMigrations
  uploads: OpenUploads
  pulls: ImagePulls
  files: ImageFiles
  boots: BootProgress
  reports: RunReports
  reach: Reach
  /** Aborts when the server stops. */
  stopping: AbortSignal
  log: FastifyBaseLogger
  now: () => Date
}

/** Adds all that HTTP answers, and what happens around each call. */
export async function addRoutes(http: FastifyInstance, parts: Parts): Promise<void> {
  const { database, metrics, now } = parts
  const { db } = database
  installIdempotency(http, { db, now })
  installAudit(http, { database, now })
  await installCompression(http)
  await installDocs(http)
  await http.register(healthRoutes({ db, metrics: metrics.registry }))
  await addOperatorRoutes(http, parts)
  await addImageRoutes(http, parts)
  await addStatusRoutes(http, parts)
  await addMachineSideRoutes(http, parts)
  await http.register(webRoutes({ folder: WEB_FOLDER }))
}

const UNDER_API = { prefix: '/api' }

/** Accounts, machines and runs, and what is told of their changes. */
async function addOperatorRoutes(http: FastifyInstance, parts: Parts): Promise<void> {
  const { config, database, adminToken, people, reach, now } = parts
  const { db } = database
  const accounts = { database, adminToken, forgetPeople: people.forget, now }
  await http.register(accountRoutes(accounts), UNDER_API)
  await http.register(machineRoutes({ db }), UNDER_API)
  await http.register(machineBulkRoutes({ db }), UNDER_API)
  const { unknown } = config
  const serverUrl = () => reach.url
  await http.register(machineScriptRoutes({ database, serverUrl, unknown, now }), UNDER_API)
  await http.register(planRoutes({ database, now }), UNDER_API)
  const { checkCapture } = parts.care
  await http.register(runStartRoutes({ database, checkCapture, now }), UNDER_API)
  await http.register(runRoutes({ database, reports: parts.reports, now }), UNDER_API)
  await http.register(receiptRoutes({ db, key: parts.receipts.publicKey }), UNDER_API)
  const served = config.dhcp.mode === 'server' ? config.network?.cidr : undefined
  await http.register(leaseRoutes({ db, ...(served && { served }) }), UNDER_API)
  await http.register(eventRoutes({ feed: parts.feed, stopping: parts.stopping }), UNDER_API)
  await http.register(webhookRoutes({ db, now, sender: parts.webhooks }), UNDER_API)
}

async function addImageRoutes(http: FastifyInstance, parts: Parts): Promise<void> {
  const { config, database, library, care, uploads, pulls, files, reach, now } = parts
  const { db } = database
  const { retention, storeRedirect: redirect } = config
  await http.register(imageRoutes({ database, library, uploads }), UNDER_API)
  await http.register(versionRoutes({ database, library, retention, now }), UNDER_API)
  await http.register(pullRoutes({ db, pulls, uploads }), UNDER_API)
  await http.register(fileRoutes({ db, files }), UNDER_API)
  await http.register(uploadRoutes({ uploads }), UNDER_API)
  await http.register(chunkRoutes({ database, library, care, redirect }))
  await http.register(exportRoutes({ database, library }))
  await http.register(linkRoutes({ database, serverUrl: () => reach.url, now }), UNDER_API)
}

/** How the server, its network and its store are, and the work on the store. */
async function addStatusRoutes(http: FastifyInstance, parts: Parts): Promise<void> {
  const { config, database, library, care, reach, now } = parts
  const startedAt = now()
  const facts = () => ({
    config,
    db: database.db,
    url: reach.url,
    tftp: reach.tftp,
    bootFileNames: async () => (await reach.bootFiles?.names()) ?? new Set<string>(),
    startedAt,
    now,
  })
  const networkStatus = () => readNetworkStatus(facts())
  await http.register(networkRoutes({ status: networkStatus }), UNDER_API)
  const storeStatistics = () => library.statistics()
  const storeRoom = () => library.room()
  const systemStatus = () => readSystemStatus({ ...facts(), storeStatistics, storeRoom })
  await http.register(systemRoutes({ status: systemStatus }), UNDER_API)
  const sweep = () => library.sweep()
  await http.register(storeRoutes({ ...care, sweep }), UNDER_API)
  await http.register(migrationRoutes(parts.migrations), UNDER_API)
}

/** What machines ask: firmware, our agent, BOOTy, and whoever has a link. */
async function addMachineSideRoutes(http: FastifyInstance, parts: Parts): Promise<void> {
  const { config, database, library, receipts, boots, reports, reach, log, now } = parts
  const { db } = database
  const serverUrl = () => reach.url
  const signReceipt = receipts.sign
  const isProven = createProof({ ...config, db, log, now })
  reportBootyProgress(http, { database, now })
  const ends = bootyEnds({ database, signReceipt, log, now })
  await http.register(linkedImageRoutes({ database, library, now, ...ends }))
  if (config.booty) await http.register(bootyRoutes({ database, serverUrl, isProven, now }))
  await http.register(agentRoutes({ database, reports, signReceipt, now }), { prefix: '/agent' })
  await http.register(
    bootRoutes({
      database,
      serverUrl,
      unknown: config.unknown,
      isProven,
      bootFiles: async () => (await reach.bootFiles?.files()) ?? new Map(),
      findAgentFile: (name) => findAgentFile(config.dataFolder, name),
      onFile: (remoteAddress, file) => boots.file(remoteAddress, file),
      onProof: (remoteAddress, mac) => boots.remember(remoteAddress, mac),
      now,
    }),
  )
}
