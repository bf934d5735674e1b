import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { DiskFault } from '#test/support/fault-disk.ts'
import type { DiskRequest } from '#test/support/fuse-file.ts'
import { DISK_BYTES } from './system-disk.ts'

/** What a disk does with a request, if not what it is told. */
export type Order = (request: DiskRequest) => DiskFault | undefined

export type Kind = DiskRequest['kind']
export const READS: readonly Kind[] = ['read']
export const WRITES: readonly Kind[] = ['write', 'zero', 'discard']
export const FLUSHES: readonly Kind[] = ['flush']

export interface Place {
  name: string
  /** A byte of the disk. */
  at: number
}

const SECTOR_BYTES = 512
export const HEAD: Place = { name: 'the partition table', at: 2 * SECTOR_BYTES }
export const WIPED: Place = { name: 'the first 4 MiB', at: 3 * CHUNK_BYTES + 5000 }
export const BEGINNING: Place = { name: 'the beginning', at: 5 * CHUNK_BYTES + 5000 }
export const MIDDLE: Place = { name: 'the middle', at: 12 * CHUNK_BYTES }
export const ZERO: Place = { name: 'what belongs zero', at: 16 * CHUNK_BYTES + 12_345 }
export const END: Place = { name: 'the last 4 MiB', at: 22 * CHUNK_BYTES - 1 }
export const BACKUP: Place = { name: 'the backup table', at: DISK_BYTES - SECTOR_BYTES }

/** Those of these kinds that touch the byte. */
export function touching(kinds: readonly Kind[], { at }: Place): (request: DiskRequest) => boolean {
  return ({ kind, start, end }) => kinds.includes(kind) && at >= start && at < end
}

/** Those that write what the image has there; others write zeros, or what was there before. */
export function bringing(image: Buffer, { at }: Place): (request: DiskRequest) => boolean {
  const isThere = touching(['write'], { name: '', at })
  return (request) =>
    isThere(request) && request.data.equals(image.subarray(request.start, request.end))
}

export function always(wanted: (request: DiskRequest) => boolean, fault: DiskFault): Order {
  return (request) => (wanted(request) ? fault : undefined)
}

export function once(wanted: (request: DiskRequest) => boolean, fault: DiskFault): Order {
  let isDone = false
  return (request) => {
    if (isDone || !wanted(request)) return undefined
    isDone = true
    return fault
  }
}

/** From the first of `wanted` on, everything that `then` wants. */
export function after(
  wanted: (request: DiskRequest) => boolean,
  then: (request: DiskRequest) => boolean,
  fault: DiskFault,
): Order {
  let hasBegun = false
  return (request) => {
    if (hasBegun && then(request)) return fault
    hasBegun ||= wanted(request)
    return undefined
  }
}
