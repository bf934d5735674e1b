import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { foundations, isOfGroup, type MappedDevice } from '#agent/system/device-mapper.ts'

const group = { name: 'my-vg', uuid: 'abc-DEF-123' }

function mapped(kernelName: string, name: string, slaves: string[], uuid = ''): MappedDevice {
  return { kernelName, name, uuid, slaves }
}

describe('mapped devices', () => {
  it('belong to a group by name, with its dashes doubled', () => {
    assert(isOfGroup(mapped('dm-0', 'my--vg-root', []), group))
    assert(!isOfGroup(mapped('dm-0', 'my--vg--old-root', []), group))
    assert(!isOfGroup(mapped('dm-0', 'my-vg-root', []), group))
  })

  it('belong to a group by UUID, whatever their name', () => {
    assert(isOfGroup(mapped('dm-0', 'x', [], 'LVM-abcDEF123xyz'), group))
    assert(!isOfGroup(mapped('dm-0', 'x', [], 'CRYPT-abcDEF123'), group))
  })

  it('lie on partitions, through others if need be', () => {
    const lower = mapped('dm-0', 'a', ['sda3', 'sdb1'])
    const upper = mapped('dm-1', 'b', ['dm-0', 'sda4'])
    assert.deepEqual(foundations(upper, [lower, upper]), ['sda3', 'sdb1', 'sda4'])
  })
})
