import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { ACTIVE_RUN_STATES, FINAL_RUN_STATES } from '#protocol/run.ts'
import type { Database } from './db/database.ts'
import { sumImages } from './db/image-digest.ts'
import { countRunsByState } from './db/runs.ts'

export interface Metrics {
  registry: Registry
  dhcpRequests: Counter
  tftpRequests: Counter
}

/** Figures of this server; those of the database are read when somebody asks for them. */
export function createMetrics(db: Database): Metrics {
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
    help: 'Bytes of all images: of their disks, of content in them, and of their chunks as stored',
    labelNames: ['kind'],
    registers,
    async collect() {
      const { sizeBytes, contentBytes, storedBytes } = await sumImages(db)
      this.set({ kind: 'size' }, sizeBytes)
      this.set({ kind: 'content' }, contentBytes)
      this.set({ kind: 'stored' }, storedBytes)
    },
  })
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
