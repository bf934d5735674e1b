import type { StoreStatus } from '#protocol/store.ts'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { ACTIVE_RUN_STATES, FINAL_RUN_STATES } from '#protocol/run/run.ts'
import type { Database } from './db/database.ts'
import { sumImages } from './db/images/image-digest.ts'
import { countRunsByState } from './db/runs/runs.ts'

/** Of the chunk store as a whole; what is not known of it has no sample. */
function addStoreMetrics(registers: Registry[], status: () => Promise<StoreStatus>): void {
  const gauge = (name: string, help: string, read: (store: StoreStatus) => number | null) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const value = read(await status())
        if (value === null) this.reset()
        else this.set(value)
      },
    })
  gauge(
    'stampede_store_available_bytes',
    'What the chunk store may still take',
    (store) => store.availableBytes,
  )
  gauge(
    'stampede_store_damaged_chunks',
    'Chunks that images lack because the store lost them, each once',
    (store) => store.lostChunks,
  )
  gauge(
    'stampede_store_recompression_saved_bytes',
    'What recompression took off chunks so far',
    (store) => store.recompression.savedBytes,
  )
  gauge(
    'stampede_store_last_scrub_timestamp_seconds',
    'When all chunks had been read and hashed',
    (store) => store.scrub.last && Date.parse(store.scrub.last.finishedAt) / 1000,
  )
  for (const what of ['chunks', 'storedBytes'] as const)
    new Gauge({
      name: what === 'chunks' ? 'stampede_store_chunks' : 'stampede_store_bytes',
      help: `Chunks of the store that images have${what === 'chunks' ? '' : ', in bytes'}, each once, by codec`,
      labelNames: ['codec'],
      registers,
      async collect() {
        const { codecs } = await status()
        for (const codec of ['gzip', 'zstd'] as const) this.set({ codec }, codecs[codec][what])
      },
    })
}

export interface Metrics {
  registry: Registry
  dhcpRequests: Counter
  tftpRequests: Counter
}

/** Figures of this server; those of the database and the store are read when somebody asks for them. */
export function createMetrics(db: Database, storeStatus: () => Promise<StoreStatus>): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'stampede_runs',
    help: 'Runs by state',
    labelNames: ['state', 'workflow'],
    registers,
    async collect() {
      this.reset()
      for (const state of [...ACTIVE_RUN_STATES, ...FINAL_RUN_STATES])
        this.set({ state, workflow: 'deploy' }, 0)
      for (const { count, ...labels } of await countRunsByState(db)) this.set(labels, count)
    },
  })
  new Gauge({
    name: 'stampede_images',
    help: 'Images in the library',
    registers,
    async collect() {
      this.set((await sumImages(db)).images)
    },
  })
  new Gauge({
    name: 'stampede_image_bytes',
    help: 'Bytes of all images: of their disks, of content in them, each by itself, and of their chunks as stored, each once',
    labelNames: ['kind'],
    registers,
    async collect() {
      const { sizeBytes, contentBytes } = await sumImages(db)
      const { storedBytes } = await storeStatus()
      this.set({ kind: 'size' }, sizeBytes)
      this.set({ kind: 'content' }, contentBytes)
      this.set({ kind: 'stored' }, storedBytes)
    },
  })
  addStoreMetrics(registers, storeStatus)
  return {
    registry,
    dhcpRequests: new Counter({
      name: 'stampede_dhcp_requests_total',
      help: 'Machines heard by DHCP, by the firmware that they boot with',
      labelNames: ['firmware'],
      registers,
    }),
    tftpRequests: new Counter({
      name: 'stampede_tftp_requests_total',
      help: 'Files asked for by TFTP',
      registers,
    }),
  }
}
