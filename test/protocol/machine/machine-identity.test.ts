import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { identifyingText, identityMismatch } from '#protocol/machine/machine-identity.ts'

const UUID = '4c4c4544-0042-3510-8052-b7c04f4d3333'

describe('identifyingText', () => {
  for (const dummy of [
    '',
    ' ',
    '00000000-0000-0000-0000-000000000000',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
    '03000200-0400-0500-0006-000700080009',
    'To be filled by O.E.M.',
    'Default string',
    'None',
    '0',
    'Not Specified',
    '0123456789',
  ]) {
    it(`takes "${dummy}" for no identity`, () => {
      assert.equal(identifyingText(dummy), undefined)
    })
  }

  it('compares without case and blanks around', () => {
    assert.equal(identifyingText(` ${UUID.toUpperCase()} `), UUID)
  })
})

describe('identityMismatch', () => {
  it('accepts the machine on record, and one of which nothing is known', () => {
    assert.equal(identityMismatch({ uuid: UUID }, { uuid: UUID.toUpperCase() }), undefined)
    assert.equal(identityMismatch({}, { uuid: UUID, serial: 'A1' }), undefined)
    assert.equal(identityMismatch({ uuid: UUID, serial: 'A1' }, {}), undefined)
  })

  it('tells another UUID or serial number, with both', () => {
    const other = '4c4c4544-0042-3510-8052-b7c04f4d4444'
    assert.match(
      identityMismatch({ uuid: UUID }, { uuid: other })!,
      new RegExp(`UUID "${UUID}".*"${other}"`),
    )
    assert.match(identityMismatch({ serial: 'A1' }, { serial: 'B2' })!, /"A1".*"B2"/)
  })

  it('lets dummies on either side say nothing', () => {
    const dummy = '00000000-0000-0000-0000-000000000000'
    assert.equal(identityMismatch({ uuid: dummy }, { uuid: UUID }), undefined)
    assert.equal(identityMismatch({ uuid: UUID }, { uuid: dummy }), undefined)
  })
})
