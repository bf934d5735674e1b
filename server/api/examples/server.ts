import type { NetworkStatus } from '#protocol/network-status.ts'
import type { StoreStatus } from '#protocol/store.ts'
import type { StoreMigration } from '#protocol/store-migration.ts'
import type { SystemStatus } from '#protocol/system-status.ts'
import type { CreatedWebhook, Webhook, WebhookDelivery } from '#protocol/webhook.ts'
import type { Examples } from '../openapi/add-examples.ts'
import { AT, DELIVERY_ID, LATER, listWith, MAC, OTHER_MAC, WEBHOOK_ID } from './values.ts'

const reservation = { mac: MAC, address: '192.0.2.20', hostname: 'node7' }
const { mac: _mac, ...reserved } = reservation

const network: NetworkStatus = {
  url: 'http://192.0.2.1:8080',
  interface: 'eth1',
  interfaces: [{ name: 'eth1', mac: OTHER_MAC, address: '192.0.2.1', prefix: 24 }],
  dhcp: {
    mode: 'server',
    range: { first: '192.0.2.10', last: '192.0.2.200' },
    router: '192.0.2.1',
    dns: ['192.0.2.1'],
    leaseSeconds: 3600,
    pool: { size: 191, leased: 40, declined: 0, reserved: 1, free: 150 },
  },
  otherServers: [{ address: '192.0.2.254', firstHeardAt: AT, lastHeardAt: LATER }],
  tftp: '192.0.2.1 port 69',
  bootFiles: ['ipxe.efi', 'undionly.kpxe'],
  unknown: 'inventory',
}

const system: SystemStatus = {
  version: '0.1.0',
  node: 'v24.21.0',
  startedAt: AT,
  database: { kind: 'embedded', bytes: 41_943_040 },
  store: {
    kind: 'folder',
    location: '/var/lib/stampede/store',
    freeBytes: 812_345_678_901,
    storedBytes: 9_876_543_210,
    images: 12,
    contentBytes: 41_234_567_890,
    savedBytes: 31_358_024_680,
  },
  checks: [
    { name: 'database', ok: true, message: 'The embedded database answers' },
    {
      name: 'other-dhcp-servers',
      ok: false,
      message: 'Another DHCP server answers at 192.0.2.254; set STAMPEDE_DHCP=proxy or stop it',
    },
  ],
}

const migration: StoreMigration = {
  from: 'file:/var/lib/stampede/store',
  to: 's3://stampede/images',
  state: 'working',
  verify: false,
  progress: 0.25,
  seenChunks: 2048,
  copiedChunks: 1987,
  copiedBytes: 812_646_400,
  damagedChunks: 0,
  lostChunks: 0,
  lacking: [],
  startedAt: AT,
  finishedAt: null,
  error: null,
}

const store: StoreStatus = {
  kind: 'folder',
  location: '/var/lib/stampede/store',
  availableBytes: 811_271_936_077,
  freeBytes: 812_345_678_901,
  totalBytes: 1_999_844_147_200,
  reserveBytes: 1_073_741_824,
  quotaBytes: null,
  images: 12,
  chunks: 24_310,
  storedBytes: 9_876_543_210,
  unusedBytes: 104_857_600,
  contentBytes: 41_234_567_890,
  savedBytes: 31_358_024_680,
  codecs: {
    gzip: { chunks: 4210, storedBytes: 1_765_432_109 },
    zstd: { chunks: 20_100, storedBytes: 8_111_111_101 },
  },
  damaged: [{ image: 'debian-12', version: 3, isPromoted: true, chunks: 1 }],
  lostChunks: 1,
  healFrom: 'https://192.0.2.2:8443',
  recompression: {
    enabled: true,
    state: 'working',
    progress: 0.25,
    triedChunks: 6100,
    replacedChunks: 5800,
    savedBytes: 391_111_222,
    finishedAt: null,
  },
  scrub: {
    state: 'waiting',
    progress: 0,
    everyHours: 168,
    bytesPerSecond: 50_000_000,
    startedAt: null,
    checkedChunks: 0,
    checkedBytes: 0,
    damagedChunks: 0,
    nextAt: LATER,
    last: {
      startedAt: AT,
      finishedAt: LATER,
      checkedChunks: 24_310,
      checkedBytes: 9_876_543_210,
      damagedChunks: 1,
    },
  },
  sweptAt: LATER,
  migration,
}

const webhook: Webhook = {
  id: WEBHOOK_ID,
  url: 'https://ci.example.com/hooks/stampede',
  events: ['run'],
  enabled: true,
  createdAt: AT,
}
const created: CreatedWebhook = { ...webhook, secret: 'whsec_…' }
const delivery: WebhookDelivery = {
  id: DELIVERY_ID,
  eventId: 4711,
  type: 'run',
  state: 'pending',
  attempts: 2,
  nextAttemptAt: LATER,
  status: 503,
  error: 'The receiver answered 503',
  answer: 'upstream is down',
  createdAt: AT,
  deliveredAt: null,
}
const ping: WebhookDelivery = {
  ...delivery,
  eventId: null,
  type: 'ping',
  state: 'delivered',
  attempts: 1,
  nextAttemptAt: null,
  status: 204,
  error: null,
  answer: '',
  deliveredAt: AT,
}

export const SERVER_EXAMPLES: Examples = {
  'GET /healthz': { answers: { 200: { status: 'ok' } } },
  'GET /metrics': {
    answers: { 200: '# TYPE stampede_machines gauge\nstampede_machines{state="ready"} 12\n' },
  },
  'GET /api/network': { answers: { 200: network } },
  'GET /api/system': { answers: { 200: system } },
  'GET /api/store': { answers: { 200: store } },
  'POST /api/store/scrub': { answers: { 202: store } },
  'POST /api/store/recompress': { body: { enabled: true }, answers: { 202: store } },
  'POST /api/store/sweep': { answers: { 200: { removedChunks: 512 } } },
  'GET /api/store/migration': { answers: { 200: migration } },
  'POST /api/store/migration': {
    body: { to: 's3://stampede/images' },
    answers: { 202: migration },
  },
  'DELETE /api/store/migration': { answers: { 200: { ...migration, state: 'cancelled' } } },
  'GET /api/reservations': { answers: { 200: listWith(reservation) } },
  'GET /api/reservations/{mac}': { answers: { 200: reservation } },
  'PUT /api/reservations/{mac}': { body: reserved, answers: { 200: reservation } },
  'GET /api/webhooks': { answers: { 200: listWith(webhook) } },
  'POST /api/webhooks': {
    body: { url: webhook.url, events: ['run'] },
    answers: { 201: created },
  },
  'GET /api/webhooks/{id}': { answers: { 200: webhook } },
  'PATCH /api/webhooks/{id}': {
    body: { enabled: false },
    answers: { 200: { ...webhook, enabled: false } },
  },
  'POST /api/webhooks/{id}/test': { answers: { 200: ping } },
  'GET /api/webhooks/{id}/deliveries': {
    answers: { 200: { items: [delivery], next: DELIVERY_ID } },
  },
  'POST /api/webhooks/{id}/deliveries/{delivery}/retry': {
    answers: { 200: { ...delivery, attempts: 0, nextAttemptAt: AT } },
  },
}
