import { setImmediate } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import type { Database } from '../database.ts'
import { machineMacs, machines } from '../schema.ts'
import { isAmong } from './machine-resource.ts'

/** In one transaction: each event holds a whole machine, and while it lasts no other is written. */
const CHUNK_MACHINES = 100
/** Of inventories as they are stored, compressed: a hundred ordinary ones fit, but one may be 4 MiB. */
const CHUNK_BYTES = 1024 * 1024

/** These machines in the order given, each time as many as one transaction should change. */
export async function* chunkMachines(db: Database, macs: readonly Mac[]): AsyncGenerator<Mac[]> {
  const sizes = await db
    .select({
      mac: machineMacs.mac,
      bytes: sql<number>`coalesce(pg_column_size(${machines.inventory}), 0)`,
    })
    .from(machineMacs)
    .innerJoin(machines, eq(machineMacs.machine, machines.mac))
    .where(isAmong(machineMacs.mac, macs))
  const bytesOf = new Map(sizes.map(({ mac, bytes }) => [mac, bytes]))
  let chunk: Mac[] = []
  let chunkBytes = 0
  for (const mac of new Set(macs)) {
    const bytes = bytesOf.get(mac) ?? 0
    if (chunk.length === CHUNK_MACHINES || (chunk.length > 0 && chunkBytes + bytes > CHUNK_BYTES)) {
      yield chunk
      await setImmediate() // the embedded database leaves nobody else a turn from one query to the next
      chunk = []
      chunkBytes = 0
    }
    chunk.push(mac)
    chunkBytes += bytes
  }
  if (chunk.length > 0) yield chunk
}
