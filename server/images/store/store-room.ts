import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { type ChunkStore, StoreFullError } from './chunk-store.ts'

/** How much more the store may take, and where that limit comes from. */
export interface StoreRoom {
  /** Of the file system; null if it does not say, as in S3. */
  freeBytes: number | null
  totalBytes: number | null
  /** What is left alone, so that the database and the system beside the store go on. */
  reserveBytes: number
  /** Of all chunks; null: no limit. */
  quotaBytes: number | null
  usedBytes: number
  /** null: no limit known. */
  availableBytes: number | null
}

/** Of a large disk this much is left alone, of a small one a share. */
const RESERVE_BYTES = 1024 ** 3
const RESERVE_SHARE = 0.02

export interface RoomFacts {
  freeBytes: number | undefined
  totalBytes: number | undefined
  quotaBytes: number | undefined
  usedBytes: number
}

export function measureRoom(facts: RoomFacts): StoreRoom {
  const { freeBytes, totalBytes, quotaBytes, usedBytes } = facts
  const share = Math.ceil((totalBytes ?? 0) * RESERVE_SHARE)
  const reserveBytes = freeBytes === undefined ? 0 : Math.min(RESERVE_BYTES, share)
  const limits = [
    ...(freeBytes === undefined ? [] : [freeBytes - reserveBytes]),
    ...(quotaBytes === undefined ? [] : [quotaBytes - usedBytes]),
  ]
  return {
    freeBytes: freeBytes ?? null,
    totalBytes: totalBytes ?? null,
    reserveBytes,
    quotaBytes: quotaBytes ?? null,
    usedBytes,
    availableBytes: limits.length === 0 ? null : Math.max(0, Math.min(...limits)),
  }
}

/** What the disk alone leaves. */
function withoutQuota({ freeBytes, totalBytes, usedBytes }: StoreRoom): StoreRoom {
  return measureRoom({
    freeBytes: freeBytes ?? undefined,
    totalBytes: totalBytes ?? undefined,
    quotaBytes: undefined,
    usedBytes,
  })
}

/** With so many bytes more in the store. */
function roomAfter(room: StoreRoom, bytes: number): StoreRoom {
  const { freeBytes, usedBytes, availableBytes } = room
  const less = (left: number | null) => (left === null ? null : Math.max(0, left - bytes))
  return {
    ...room,
    freeBytes: less(freeBytes),
    usedBytes: usedBytes + bytes,
    availableBytes: less(availableBytes),
  }
}

/** What the store cannot go beyond, in words; empty if nothing is known of it. */
export function tellLimits(room: StoreRoom): string {
  const { freeBytes, reserveBytes, quotaBytes, usedBytes } = room
  const limits = [
    freeBytes === null
      ? ''
      : `${formatBytes(freeBytes)} are free on its disk, of which ${formatBytes(reserveBytes)} are kept in reserve`,
    quotaBytes === null
      ? ''
      : `${formatBytes(usedBytes)} are used of its quota of ${formatBytes(quotaBytes)} (STAMPEDE_STORE_QUOTA)`,
  ]
  return limits.filter(Boolean).join('; ')
}

/** Throws StoreFullError, with all figures, unless there is room for so many bytes. */
export function checkRoomFor(room: StoreRoom, neededBytes: number, what: string): void {
  const { availableBytes } = room
  if (availableBytes === null || availableBytes >= neededBytes) return
  // Of an upload nobody knows before what it will take: a byte stands for any room at all.
  const needed = neededBytes <= 1 ? 'room' : `about ${formatBytes(neededBytes)}`
  const left = availableBytes === 0 ? 'none' : formatBytes(availableBytes)
  throw new StoreFullError(
    `${what} needs ${needed}, but the chunk store has ${left} left: ${tellLimits(room)}; make room or delete images`,
  )
}

/** Whether so many bytes may take the place of others: both are on the disk for a while. */
export function hasRoomToReplace(room: StoreRoom, bytes: number): boolean {
  const { availableBytes } = withoutQuota(room)
  return availableBytes === null || availableBytes >= bytes
}

export interface LimitedStore {
  store: ChunkStore
  /** What was put and is not in `countedBytes`, the bytes of all images as last told. */
  putSince: (countedBytes: number) => number
  /** An image takes what was put until now. */
  committed: () => void
  /**
   * A sweep begins. What it gives is called at its end: of what was put until now, all that belongs to no
   * image is gone.
   */
  sweeping: () => () => void
}

/** How long a measurement holds, so that not every chunk asks the file system. */
const KEPT_MILLISECONDS = 1000

/**
 * The store, refusing chunks that there is no room for before the disk is full; and what it was given
 * since its chunks were counted, as far as that can be told.
 */
export function limitStore(store: ChunkStore, room: () => Promise<StoreRoom>): LimitedStore {
  let putBytes = 0
  /** Then; what an image has by now is in what is counted from then on. */
  let committedAt = 0
  let counted = { bytes: 0, putBytes: 0 }
  let measured: { room: StoreRoom; at: number; putBytes: number } | undefined
  /** Of those that are on their way: there may be as many as there are machines. */
  let writingBytes = 0

  /** Room for so many bytes, kept for the work that is given. */
  async function within<Result>(
    bytes: number,
    work: () => Promise<Result>,
    limits: (room: StoreRoom) => StoreRoom = (room) => room,
  ): Promise<Result> {
    await reserve(bytes, limits)
    try {
      return await work()
    } finally {
      writingBytes -= bytes
    }
  }

  async function reserve(bytes: number, limits: (room: StoreRoom) => StoreRoom): Promise<void> {
    if (!measured || performance.now() - measured.at > KEPT_MILLISECONDS)
      measured = { room: await room(), at: performance.now(), putBytes }
    const since = putBytes - measured.putBytes + writingBytes
    checkRoomFor(roomAfter(limits(measured.room), since), bytes, 'A chunk')
    writingBytes += bytes
  }

  return {
    putSince(countedBytes) {
      if (countedBytes !== counted.bytes) counted = { bytes: countedBytes, putBytes: committedAt }
      return putBytes - counted.putBytes
    },
    committed: () => void (committedAt = putBytes),
    sweeping() {
      const before = putBytes
      return () => {
        // Counts since are of what is left, also those that nobody asked with yet.
        committedAt = Math.max(committedAt, before)
        counted = { bytes: counted.bytes, putBytes: Math.max(counted.putBytes, before) }
      }
    },
    store: {
      ...store,
      async putIfAbsent(hash, bytes) {
        await within(bytes.length, async () => {
          await store.putIfAbsent(hash, bytes)
          putBytes += bytes.length
        })
      },
      ...(store.putIfRight && {
        async putIfRight(hash, bytes) {
          return within(bytes.length, async () => {
            const actual = await store.putIfRight!(hash, bytes)
            if (actual === hash) putBytes += bytes.length
            return actual
          })
        },
      }),
      async replace(hash, bytes) {
        // The old form stays on the disk for a while; to the quota the content counts once, and less than before.
        return within(bytes.length, () => store.replace(hash, bytes), withoutQuota)
      },
    } satisfies ChunkStore,
  }
}
