import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planMounts } from '#agent/system/fstab.ts'
import { parseBlkidExport } from '#agent/system/probe.ts'
import { chooseRoot, type Root } from '#agent/system/root-choice.ts'

const plain: Root = { path: '/dev/sda2', fileSystem: 'ext4', partition: 2 }
const volume: Root = {
  path: '/dev/dm-0',
  fileSystem: 'xfs',
  volume: { group: 'my-vg', name: 'root', segmentType: 'linear' },
}

describe('the choice of the root', () => {
  it('takes the only one', () => {
    assert.deepEqual(chooseRoot([plain]), { kind: 'found', root: plain })
  })

  it('takes none where there are none or two', () => {
    assert.equal(chooseRoot([]).kind, 'unclear')
    assert.deepEqual(chooseRoot([plain, volume]), {
      kind: 'unclear',
      reason: '2 root file systems were found: /dev/sda2 and volume my-vg/root',
    })
  })

  it('follows the image between several', () => {
    const both = [plain, volume]
    assert.deepEqual(chooseRoot(both, { rootPartition: 2 }), { kind: 'found', root: plain })
    const rootVolume = '/dev/my-vg/root'
    assert.deepEqual(chooseRoot(both, { rootVolume, rootPartition: 2 }), {
      kind: 'found',
      root: volume,
    })
    assert.equal(chooseRoot(both, { rootPartition: 3 }).kind, 'unclear')
  })
})

describe('what blkid prints', () => {
  it('becomes type, UUID and label, escapes undone', () => {
    const text = 'DEVNAME=/dev/sda1\nUUID=ab-1\nLABEL=a\\ b=c\nTYPE=ext4\nUSAGE=filesystem\n'
    assert.deepEqual(parseBlkidExport(text), { type: 'ext4', uuid: 'ab-1', label: 'a b=c' })
  })

  it('is nothing for a partition of which only the entry is known', () => {
    assert.equal(parseBlkidExport('PART_ENTRY_SCHEME=gpt\nPART_ENTRY_UUID=1\n'), undefined)
  })
})

describe('the mounts of fstab', () => {
  const candidates = [
    { path: '/dev/sda2', fileSystem: 'ext4', uuid: 'AA', partition: 2 },
    { path: '/dev/sda3', fileSystem: 'btrfs', uuid: 'bb', label: 'data', partition: 3 },
    { ...volume, volume: { group: 'my-vg', name: 'var', segmentType: 'linear' } },
  ]

  it('finds them by every name that fstab may use, parents first', () => {
    const fstab = `# comment
UUID=aa / ext4 defaults 0 1
LABEL=data /var/lib btrfs rw,subvol=@lib,noatime 0 0
/dev/mapper/my--vg-var /var xfs defaults 0 2
/dev/sda3 /home btrfs defaults 0 0
`
    const { mounts, missing } = planMounts(fstab, candidates)
    assert.deepEqual(
      mounts.map(({ candidate, folder, options }) => [candidate.path, folder, options]),
      [
        ['/dev/dm-0', '/var', []],
        ['/dev/sda3', '/var/lib', ['subvol=@lib']],
      ],
    )
    assert.deepEqual(missing, [])
  })

  it('tells what is not on the target disk instead of looking elsewhere', () => {
    const { mounts, missing } = planMounts('/dev/sdb1 /var ext4 defaults 0 2\n', candidates)
    assert.deepEqual(mounts, [])
    assert.deepEqual(missing, ['/var (/dev/sdb1)'])
  })
})
