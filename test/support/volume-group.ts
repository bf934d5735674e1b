import { MIB } from './disk-content.ts'
import { physicalVolumeHead } from './lvm-image.ts'

const EXTENT = 4 * MIB
const PV = { one: 'a'.repeat(32), two: 'b'.repeat(32) }
/** Of the two partitions, each a physical volume. */
const FIRST = { start: MIB, size: MIB + 12 * EXTENT }
const SECOND = { start: FIRST.start + FIRST.size, size: MIB + 6 * EXTENT }
const DISK_BYTES = SECOND.start + SECOND.size + MIB

const GROUP = `vg {
  id = "g" seqno = 3 status = ["READ", "WRITE"] extent_size = 8192
  physical_volumes {
    pv0 { id = "${PV.one}" flags = [] pe_start = 2048 pe_count = 12 }
    pv1 { id = "${PV.two}" flags = [] pe_start = 2048 pe_count = 6 }
  }
  logical_volumes {
    split { status = ["READ", "WRITE", "VISIBLE"] segment_count = 3
      segment1 { start_extent = 0 extent_count = 1 type = "striped" stripes = ["pv0", 7] }
      segment2 { start_extent = 1 extent_count = 1 type = "striped" stripes = ["pv1", 4] }
      segment3 { start_extent = 2 extent_count = 2 type = "striped" stripes = ["pv0", 1] } }
    fast { status = ["READ", "WRITE", "VISIBLE"] segment_count = 1
      segment1 { start_extent = 0 extent_count = 4 type = "striped" stripe_size = 128 stripes = ["pv0", 4, "pv1", 1] } }
    thin { status = ["READ", "WRITE", "VISIBLE"] segment_count = 1
      segment1 { start_extent = 0 extent_count = 100 type = "thin" thin_pool = "pool" } }
  }
}
# ${'padding, so that the text goes on at the beginning of its area '.repeat(20)}
`

/** Of a logical volume. */
export const VOLUME_BYTES = 4 * EXTENT

/**
 * Two partitions of an MBR, and on them a group of two volumes with the same content, `vg/split` in
 * pieces and `vg/fast` striped.
 */
export function diskOfGroup(volume: Buffer): Buffer {
  const disk = Buffer.alloc(DISK_BYTES)
  for (const [index, { start, size }] of [FIRST, SECOND].entries()) {
    const entry = disk.subarray(446 + 16 * index)
    entry[4] = 0x8e
    entry.writeUInt32LE(start / 512, 8)
    entry.writeUInt32LE(size / 512, 12)
  }
  disk.writeUInt16LE(0xaa55, 510)
  physicalVolumeHead(PV.one, GROUP).copy(disk, FIRST.start)
  physicalVolumeHead(PV.two, GROUP).copy(disk, SECOND.start)
  const extent = (partition: { start: number }, at: number) => partition.start + MIB + at * EXTENT
  volume.copy(disk, extent(FIRST, 7), 0, EXTENT)
  volume.copy(disk, extent(SECOND, 4), EXTENT, 2 * EXTENT)
  volume.copy(disk, extent(FIRST, 1), 2 * EXTENT, 4 * EXTENT)
  const stripe = 65_536
  for (let at = 0, row = 0; at < volume.length; row++)
    for (const base of [extent(FIRST, 4), extent(SECOND, 1)]) {
      volume.copy(disk, base + row * stripe, at, at + stripe)
      at += stripe
    }
  return disk
}
