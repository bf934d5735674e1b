import type { LayoutSegment } from '#protocol/disk/lvm-layout.ts'
import type { Exec } from '../exec.ts'
import type { Content } from '../system/probe.ts'
import type { ByteSpan, Extents } from './extents.ts'

/**
 * A partition, a logical volume, or a disk without a table; bytes of the disk. One in several pieces has a
 * layout, and counts from 0.
 */
export interface Region extends ByteSpan {
  layout?: readonly LayoutSegment[]
  partition?: number
  volume?: { group: string; name: string; segmentType: string }
  /** For people, at the start of a sentence: `Partition 2`. */
  name: string
  /** What has bytes in common with it, as the end of a sentence. */
  overlaps?: string
  /** Its kind of partition never has a file system. */
  isRaw?: boolean
  /** Its kind of partition holds parts of volumes, whatever its beginning looks like. */
  isManaged?: boolean
}

/** Bytes that a capture notes instead of those that are there; positions in the region. */
export interface Patch {
  start: number
  bytes: Uint8Array
}

export interface LeftOut {
  /** For people: `swap space`, `page file /pagefile.sys`. */
  what: string
  bytes: number
}

/** What of a region a capture reads; positions count from its start. */
export type RegionUse =
  | {
      kind: 'used'
      used: Extents
      leftOut: LeftOut[]
      patches: Patch[]
      /** Parts of it of which all is read, and why: finished sentences. */
      copiedWhole?: string[]
    }
  /** All of it, since `reason`. */
  | { kind: 'whole'; reason: string }
  /** All of it, which nobody need be told: its content is known to be like that. */
  | { kind: 'plain' }

/** A region as a read-only block device of its own, for tools to look at. */
export interface RegionView {
  readonly path: string
  readonly sizeBytes: number
  readonly region: Region
  /** A copy of the bytes that are there; at most 1 MiB. */
  peek(start: number, length: number): Promise<Buffer>
}

export interface LookContext {
  exec: Exec
  signal: AbortSignal
}

/** Asks what a region of this content uses. Throws, and the region is copied whole. */
export type Surveyor = (
  context: LookContext,
  view: RegionView,
  content: Content,
) => Promise<RegionUse>
