import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findUse, parseMounts, parseSwaps } from '#agent/inventory/disk-use.ts'

const MOUNTINFO = `\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:2 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
95 27 0:45 /@home /srv/my\\040data rw,relatime shared:50 - btrfs /dev/sdb1 rw,ssd
`
const SWAPS = `\
Filename				Type		Size		Used		Priority
/dev/sdc3                               partition	1000444		0		-2
`

describe('disk use', () => {
  const loops = [{ path: '/dev/loop3', device: '8:97' }]
  const use = { mounts: parseMounts(MOUNTINFO), swaps: parseSwaps(SWAPS), loops }
  const node = (path: string, device: string, holders: string[] = []) => ({
    path,
    device,
    holders,
  })

  it('finds a mounted partition by its device number', () => {
    const nodes = [node('/dev/sda', '8:0'), node('/dev/sda2', '8:2')]
    assert.equal(findUse(nodes, use), '/dev/sda2 is mounted at /')
  })

  it('finds a btrfs, whose mounts have a number of their own, by its source', () => {
    const nodes = [node('/dev/sdb', '8:16'), node('/dev/sdb1', '8:17')]
    assert.equal(findUse(nodes, use), '/dev/sdb1 is mounted at /srv/my data')
  })

  it('finds swap space and what LVM or MD hold', () => {
    assert.equal(findUse([node('/dev/sdc3', '8:35')], use), '/dev/sdc3 is swap space')
    assert.equal(
      findUse([node('/dev/sdd1', '8:49', ['dm-0', 'dm-1'])], use),
      '/dev/sdd1 is a part of dm-0 and dm-1',
    )
  })

  it('finds a loop device through which a disk is used', () => {
    const nodes = [node('/dev/sdg', '8:96'), node('/dev/sdg1', '8:97')]
    assert.equal(findUse(nodes, use), '/dev/loop3 leads to /dev/sdg1')
  })

  it('finds nothing against a disk that nobody uses', () => {
    assert.equal(findUse([node('/dev/sde', '8:64'), node('/dev/sde1', '8:65')], use), undefined)
  })

  it('reads an empty list of swaps', () => {
    assert.deepEqual(parseSwaps('Filename Type Size Used Priority\n'), [])
    assert.deepEqual(parseSwaps(''), [])
  })
})
