import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  MAX_BLOCK_BYTES,
  TftpDecodeError,
  decodeTftp,
  encodeTftp,
  type TftpPacket,
} from '#protocol/tftp.ts'

const character = fc.integer({ min: 1, max: 0xff }).map((code) => String.fromCharCode(code))
const text = fc.string({ unit: character, maxLength: 40 })
const name = fc.string({ unit: character, minLength: 1, maxLength: 40 })
const uint16 = fc.integer({ min: 0, max: 0xffff })
const options = fc
  .uniqueArray(fc.tuple(name, text), { maxLength: 4, selector: ([key]) => key.toLowerCase() })
  .map((pairs) => new Map(pairs.map(([key, value]) => [key.toLowerCase(), value] as const)))
const request = (kind: 'rrq' | 'wrq') =>
  fc.record({
    kind: fc.constant(kind),
    fileName: name,
    mode: name.map((mode) => mode.toLowerCase()),
    options,
  })
const packet: fc.Arbitrary<TftpPacket> = fc.oneof(
  request('rrq'),
  request('wrq'),
  fc.record({
    kind: fc.constant('data' as const),
    block: uint16,
    data: fc.uint8Array({ maxLength: 2000 }),
  }),
  fc.record({ kind: fc.constant('ack' as const), block: uint16 }),
  fc.record({ kind: fc.constant('error' as const), code: uint16, message: text }),
  fc.record({ kind: fc.constant('oack' as const), options }),
)

const bytes = (latin1: string) => Uint8Array.from(Buffer.from(latin1, 'latin1'))

describe('TFTP packets', () => {
  it('are the same after encoding and decoding', () => {
    fc.assert(
      fc.property(packet, (one) => assert.deepEqual(decodeTftp(encodeTftp(one)), { ...one })),
    )
  })

  it('decode or are refused with TftpDecodeError, whatever the bytes', () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc
        .tuple(fc.integer({ min: 0, max: 7 }), fc.uint8Array({ maxLength: 600 }))
        .map(([opcode, rest]) => Uint8Array.of(0, opcode, ...rest)),
    )
    fc.assert(
      fc.property(anyBytes, (garbage) => {
        try {
          decodeTftp(garbage)
        } catch (err) {
          assert.ok(err instanceof TftpDecodeError, String(err))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('decode as in RFC 1350 and 2347', () => {
    const rrq = bytes('\0\x01/undionly.kpxe\0OCTET\0TSize\x000\0blksize\x001456\0')
    assert.deepEqual(decodeTftp(rrq), {
      kind: 'rrq',
      fileName: '/undionly.kpxe',
      mode: 'octet',
      options: new Map([
        ['tsize', '0'],
        ['blksize', '1456'],
      ]),
    })
    assert.deepEqual(encodeTftp({ kind: 'ack', block: 0xfffe }), bytes('\0\x04\xff\xfe'))
    assert.deepEqual(
      encodeTftp({ kind: 'error', code: 1, message: 'No' }),
      bytes('\0\x05\0\x01No\0'),
    )
  })

  it('are read from clients that pad or cut short what does not matter', () => {
    const padded = decodeTftp(bytes('\0\x01a\0octet\0blksize\x00512\0\0\0\0'))
    assert.deepEqual(padded.kind === 'rrq' && [...padded.options], [['blksize', '512']])
    assert.deepEqual(decodeTftp(bytes('\0\x04\0\x07\0\0')), { kind: 'ack', block: 7 })
    assert.deepEqual(decodeTftp(bytes('\0\x05\0\x08stop')), {
      kind: 'error',
      code: 8,
      message: 'stop',
    })
  })

  it('of which a part is missing or too long are refused', () => {
    for (const packet of [
      '',
      '\0',
      '\0\x01',
      '\0\x01file\0',
      '\0\x01file\0octet',
      '\0\x01\0octet\0',
      '\0\x03\0',
      '\0\x04',
      '\0\x09\0\0',
      `\0\x01${'a'.repeat(600)}\0octet\0`,
      `\0\x03\0\x01${'a'.repeat(MAX_BLOCK_BYTES + 1)}`,
    ])
      assert.throws(() => decodeTftp(bytes(packet)), TftpDecodeError)
  })

  it('cannot be made from values that do not fit', () => {
    assert.throws(() => encodeTftp({ kind: 'ack', block: 0x10000 }), RangeError)
    assert.throws(() => encodeTftp({ kind: 'error', code: 0, message: 'a\0b' }), TypeError)
    assert.throws(() => encodeTftp({ kind: 'error', code: 0, message: '…' }), TypeError)
  })
})
