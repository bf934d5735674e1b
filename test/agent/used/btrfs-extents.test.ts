import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  createExtentTreeReader,
  parseChunks,
  placesOf,
} from '#agent/used/file-systems/btrfs-extents.ts'

/** As btrfs-progs 6.2 prints it. */
const CHUNK_TREE = `btrfs-progs v6.2
chunk tree
leaf 22036480 items 4 free space 15781 generation 6 owner CHUNK_TREE
\titem 0 key (DEV_ITEMS DEV_ITEM 1) itemoff 16185 itemsize 98
\t\tdevid 1 total_bytes 419430400 bytes_used 92274688
\titem 1 key (FIRST_CHUNK_TREE CHUNK_ITEM 13631488) itemoff 16105 itemsize 80
\t\tlength 8388608 owner 2 stripe_len 65536 type DATA|single
\t\tio_align 65536 io_width 65536 sector_size 4096
\t\tnum_stripes 1 sub_stripes 1
\t\t\tstripe 0 devid 1 offset 13631488
\t\t\tdev_uuid 83736339-6436-4bb3-95b3-839a27d9e85f
\titem 2 key (FIRST_CHUNK_TREE CHUNK_ITEM 22020096) itemoff 15993 itemsize 112
\t\tlength 8388608 owner 2 stripe_len 65536 type SYSTEM|DUP
\t\tio_align 65536 io_width 65536 sector_size 4096
\t\tnum_stripes 2 sub_stripes 1
\t\t\tstripe 0 devid 1 offset 22020096
\t\t\tdev_uuid 83736339-6436-4bb3-95b3-839a27d9e85f
\t\t\tstripe 1 devid 1 offset 30408704
\t\t\tdev_uuid 83736339-6436-4bb3-95b3-839a27d9e85f
`
const DATA = { start: 13_631_488, end: 22_020_096, copies: [13_631_488] }
const SYSTEM = { start: 22_020_096, end: 30_408_704, copies: [22_020_096, 30_408_704] }

describe('extents of btrfs', () => {
  it('lie in chunks, some of which have two copies', () => {
    assert.deepEqual(parseChunks(CHUNK_TREE), [DATA, SYSTEM])
  })

  it('are refused where chunks are spread over stripes', () => {
    const striped = CHUNK_TREE.replace('SYSTEM|DUP', 'SYSTEM|RAID0')
    assert.throws(() => parseChunks(striped), /lays out data as "SYSTEM\|RAID0"/)
  })

  it('are all captured, with every copy', () => {
    const reader = createExtentTreeReader(16_384, [DATA, SYSTEM])
    for (const line of [
      '\titem 0 key (13631488 EXTENT_ITEM 4096) itemoff 16230 itemsize 53',
      '\t\trefs 1 gen 7 flags DATA',
      '\titem 1 key (13631488 BLOCK_GROUP_ITEM 8388608) itemoff 16206 itemsize 24',
      '\titem 2 key (22036480 METADATA_ITEM 0) itemoff 16173 itemsize 33',
    ])
      reader.line(line)
    assert.equal(reader.bytes(), 4096 + 16_384)
    const places = placesOf(reader.build(), [SYSTEM, DATA])
    assert.deepEqual(
      [...places],
      [13_631_488, 13_635_584, 22_036_480, 22_052_864, 30_425_088, 30_441_472],
    )
  })

  for (const [what, line] of [
    ['in no chunk', '\titem 0 key (4096 EXTENT_ITEM 4096) itemoff 1 itemsize 53'],
    ['beyond its chunk', '\titem 0 key (22016000 EXTENT_ITEM 8192) itemoff 1 itemsize 53'],
  ] as const) {
    it(`are refused ${what}`, () => {
      const reader = createExtentTreeReader(16_384, [DATA])
      assert.throws(() => reader.line(line), /where none can be/)
    })
  }
})
