import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { openContent, toNetascii, virtualName } from '#server/tftp/virtual-file.ts'

describe('the name of a virtual file', () => {
  it('is found in every spelling of firmware', () => {
    for (const name of ['a/b.efi', '/a/b.efi', '//a//b.efi', '\\a\\b.efi', './a/./b.efi'])
      assert.equal(virtualName(name), 'a/b.efi')
  })

  it('is found where firmware took the END of the DHCP options for a part of it', () => {
    for (const name of ['b.efi\xff', '/b.efi\xff\xff']) assert.equal(virtualName(name), 'b.efi')
  })
})

describe('netascii', () => {
  it('is read back to the same bytes by a Unix client', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 10, 13, 65)), (octets) => {
        const wire = Buffer.from(toNetascii(Uint8Array.from(octets))).toString('latin1')
        assert.ok(!/\r[^\n\0]|\r$|(?<!\r)\n/.test(wire))
        const read = wire.replace(/\r([\n\0])/g, (_, second) => (second === '\n' ? '\n' : '\r'))
        assert.deepEqual([...Buffer.from(read, 'latin1')], octets)
      }),
    )
  })

  it('has the size of what is sent', async () => {
    await using content = await openContent({ bytes: Buffer.from('a\nb\n') }, 'netascii')
    assert.equal(content.sizeBytes, 6)
  })
})
