import type { LayoutSegment } from '#protocol/disk/lvm-layout.ts'
import type { DiskContent } from '../export/disk-content.ts'
import { ImageFileError } from './image-file-error.ts'
import { spoolPartition } from './partition-spool.ts'

/** An unpacked partition or volume, as a file. */
export type SpooledPlace = { path: string } & AsyncDisposable

export interface SpooledPlaces extends AsyncDisposable {
  /** Unpacks a place unless it is unpacked already; it stays until what this returns is disposed of. */
  take(key: string, disk: DiskContent, layout: readonly LayoutSegment[]): Promise<SpooledPlace>
}

/** Places that stay unpacked for whoever looks on. */
const MAX_KEPT = 2
const KEPT_MILLISECONDS = 120_000

interface Kept {
  spool: Promise<SpooledPlace>
  users: number
  timer?: NodeJS.Timeout
}

/** Partitions and volumes that somebody looks into, or did a moment ago. */
export function openSpooledPlaces(folder: string): SpooledPlaces {
  const kept = new Map<string, Kept>()
  const stop = new AbortController()
  const { signal } = stop

  async function drop(key: string): Promise<void> {
    const one = kept.get(key)
    if (!one || one.users > 0) return
    kept.delete(key)
    clearTimeout(one.timer)
    await one.spool.then(
      (spool) => spool[Symbol.asyncDispose](),
      () => {},
    )
  }

  /** At once in `kept`: of two that ask at the same moment the second finds what the first began. */
  function add(key: string, disk: DiskContent, layout: readonly LayoutSegment[]): Kept {
    const [idle] = [...kept].find(([, { users }]) => users === 0) ?? []
    if (idle === undefined && kept.size >= 2 * MAX_KEPT)
      throw new ImageFileError('spool-full', 'Others look into other images; try again later')
    const room = idle !== undefined && kept.size >= MAX_KEPT ? drop(idle) : Promise.resolve()
    const spool = room.then(() => spoolPartition(disk, layout, { folder, signal }))
    const added = { spool, users: 0 }
    kept.set(key, added)
    spool.catch(() => kept.get(key) === added && kept.delete(key))
    return added
  }

  return {
    async take(key, disk, layout) {
      const one = kept.get(key) ?? add(key, disk, layout)
      one.users++
      clearTimeout(one.timer)
      let isGiven = false
      const give = async () => {
        if (isGiven) return
        isGiven = true
        one.users--
        if (one.users === 0 && !signal.aborted)
          one.timer = setTimeout(() => void drop(key), KEPT_MILLISECONDS).unref()
      }
      try {
        const { path } = await one.spool
        return { path, [Symbol.asyncDispose]: give }
      } catch (err) {
        await give()
        clearTimeout(one.timer)
        throw err
      }
    },

    async [Symbol.asyncDispose]() {
      stop.abort(new Error('The server stops'))
      for (const [key, one] of kept) {
        one.users = 0
        await drop(key)
      }
    },
  }
}
