import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deviceNumber, majorOf, minorOf } from '#agent/device-number.ts'

describe('the number of a device', () => {
  it('is written as the kernel writes it', () => assert.equal(deviceNumber(0x0812), '8:18'))

  it('has parts of more than eight bits', () => {
    assert.deepEqual([majorOf(0x0812), minorOf(0x0812)], [8, 0x12])
    const large = 0x12300000 + 259 * 256 + 0x45 // makedev(259, 0x12345)
    assert.deepEqual([majorOf(large), minorOf(large)], [259, 0x12345])
  })
})
