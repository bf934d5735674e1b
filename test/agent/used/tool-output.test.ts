import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseStat } from '#agent/used/file-systems/ext.ts'
import { isCleanLog } from '#agent/used/file-systems/ntfs-log.ts'
import { parseNtfsCluster } from '#agent/used/file-systems/ntfs-state.ts'
import { parseBmap } from '#agent/used/file-systems/xfs.ts'
import { elfArchitecture, prettyName } from '#agent/used/system-facts.ts'

/** Outputs of Debian 12's tools, cut to what matters. */
describe('where a file lies', () => {
  it('as debugfs tells it, of extents and of blocks with their indirect ones', () => {
    const extents = `Inode: 12   Type: regular    Mode:  0644   Flags: 0x80000
EXTENTS:
(0-8191):16385-24576, (8192-20479[u]):26625-38912
`
    assert.deepEqual(parseStat(extents, 1024), [
      { at: 0, start: 16_385 * 1024, bytes: 8192 * 1024 },
      { at: 8192 * 1024, start: 26_625 * 1024, bytes: 12_288 * 1024 },
    ])
    const blocks = `Inode: 12   Type: regular    Mode:  0644   Flags: 0x0
BLOCKS:
(0-11):738-749, (IND):1250, (12):750
TOTAL: 14
`
    assert.deepEqual(parseStat(blocks, 1024), [
      { at: 0, start: 738 * 1024, bytes: 12 * 1024 },
      { at: 12 * 1024, start: 750 * 1024, bytes: 1024 },
    ])
    assert.equal(parseStat('Inode: 12   Type: directory    Mode:  0755\n', 1024), undefined)
    assert.equal(parseStat('', 1024), undefined)
  })

  it('as xfs_db tells it, by allocation group', () => {
    const text = `blocksize = 4096
agblocks = 25600
core.mode = 0100644
data offset 0 startblock 24 (0/24) count 16 flag 0
data offset 16 startblock 65560 (2/24) count 5104 flag 1
`
    assert.deepEqual(parseBmap(text), [
      { at: 0, start: 24 * 4096, bytes: 16 * 4096 },
      { at: 16 * 4096, start: (2 * 25_600 + 24) * 4096, bytes: 5104 * 4096 },
    ])
    assert.equal(parseBmap(text.replace('0100644', '040755')), undefined)
    assert.equal(parseBmap(text.replace('data', 'v3.reflink = 1\ndata')), undefined)
    assert.equal(parseBmap(text.replace('data', 'v3.reflink = 0\ndata'))?.length, 2)
    assert.equal(parseBmap('blocksize = 4096\nagblocks = 25600\nno current inode\n'), undefined)
  })

  it('as ntfscluster tells it', () => {
    const text = `Dump: /pagefile.sys
    0x10 - resident
    0x30 - resident
    0x80 - non-resident
             VCN     LCN     Length
               0    10752     2560
            2560       -1       16
            2576    20000        4
`
    assert.deepEqual(parseNtfsCluster(text, 4096), [
      { at: 0, start: 10_752 * 4096, bytes: 2560 * 4096 },
      { at: 2576 * 4096, start: 20_000 * 4096, bytes: 4 * 4096 },
    ])
    assert.deepEqual(parseNtfsCluster('Dump: /x\n    0x80 - resident\n', 4096), [])
  })
})

describe('the log of an NTFS', () => {
  function page(lsn: bigint, client: number, flags: number): Buffer {
    const bytes = Buffer.alloc(4096)
    bytes.write('RSTR', 'latin1')
    bytes.writeUInt16LE(0x30, 0x18)
    bytes.writeBigUInt64LE(lsn, 0x30)
    bytes.writeUInt16LE(client, 0x30 + 12)
    bytes.writeUInt16LE(flags, 0x30 + 14)
    return bytes
  }
  const open = (lsn: bigint) => page(lsn, 0, 0)
  const closed = (lsn: bigint) => page(lsn, 0xffff, 0)

  for (const [what, head, expected] of [
    ['never written', Buffer.alloc(8192, 0xff), true],
    ['closed', Buffer.concat([closed(2n), closed(1n)]), true],
    ['in use, and marked clean', Buffer.concat([page(2n, 0, 2), open(1n)]), true],
    ['in use', Buffer.concat([open(2n), closed(1n)]), false],
    ['in use since its second page', Buffer.concat([closed(1n), open(2n)]), false],
    ['unreadable', Buffer.alloc(8192), false],
    ['absent', Buffer.alloc(0), false],
  ] as const)
    it(`is ${expected ? 'clean' : 'not clean'} where it is ${what}`, () => {
      assert.equal(isCleanLog(head), expected)
    })
})

describe('what a system says of itself', () => {
  it('is read with and without quotes', () => {
    assert.equal(prettyName('ID=x\nPRETTY_NAME="A \\"B\\" 1"\n'), 'A "B" 1')
    assert.equal(prettyName("PRETTY_NAME='Tiny'\n"), 'Tiny')
    assert.equal(prettyName('PRETTY_NAME=Tiny\n'), 'Tiny')
    assert.equal(prettyName('ID=x\n'), undefined)
  })

  it('is the processor of its programs', () => {
    const header = (machine: number) => {
      const bytes = Buffer.from('7f454c46020101000000000000000000030000000000', 'hex')
      bytes.writeUInt16LE(machine, 18)
      return bytes
    }
    assert.equal(elfArchitecture(header(62)), 'x86_64')
    assert.equal(elfArchitecture(header(183)), 'aarch64')
    assert.equal(elfArchitecture(header(9999)), undefined)
    assert.equal(elfArchitecture(Buffer.from('#!/bin/sh of a script')), undefined)
  })
})
