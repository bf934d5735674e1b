import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseMac } from '#protocol/mac.ts'

describe('parseMac', () => {
  it('reads every accepted spelling as the same address', () => {
    const texts = ['52:54:00:AB:CD:EF', '52-54-00-ab-cd-ef', '525400abcdef', '5254.00ab.cdef']
    for (const text of texts) assert.equal(parseMac(text), '52:54:00:ab:cd:ef')
  })

  it('refuses what is not six octets', () => {
    for (const text of ['', '52:54:00:ab:cd', '52:54:00:ab:cd:ef:00', '52:54:00:ab:cd:eg'])
      assert.throws(() => parseMac(text), TypeError)
  })
})
