import { crc32 } from 'node:zlib'
import { memberOf } from './gzip-member.ts'

/** Longest match of deflate, RFC 1951 §3.2.5: length symbol 285. */
const LONGEST_MATCH = 258
const SYMBOL = { zero: 0, endOfBlock: 256, longestMatch: 285 } as const

const members = new Map<number, Uint8Array>()

/**
 * The gzip member of `contentBytes` zeros that exports use. Written bit by bit, not by zlib: the
 * lengths and ETags of exports depend on it, so it must not change with a version of Node.
 */
export function zeroMember(contentBytes: number): Uint8Array {
  let member = members.get(contentBytes)
  if (!member) {
    member = memberOf(deflateZeros(contentBytes), crc32(Buffer.alloc(contentBytes)), contentBytes)
    members.set(contentBytes, member)
  }
  return member
}

/** One block with codes of its own: a match of 258 zeros at distance 1 takes two bits. */
function deflateZeros(contentBytes: number): Uint8Array {
  const bits = new BitWriter()
  writeBlockHeader(bits)
  // A match copies what came before, so the first zero is a literal; so are those left over.
  const matches = Math.floor((contentBytes - 1) / LONGEST_MATCH)
  const literals = contentBytes - matches * LONGEST_MATCH
  for (let index = 0; index < literals; index++) bits.writeCode(CODE_OF_ZERO)
  for (let index = 0; index < matches; index++) {
    bits.writeCode(CODE_OF_MATCH)
    bits.writeCode(CODE_OF_DISTANCE)
  }
  bits.writeCode(CODE_OF_END)
  return bits.finish()
}

type Code = { bits: number; length: number }
// Canonical codes for the lengths below: match 1 bit; zero and end of block 2 bits, in that order.
const CODE_OF_MATCH: Code = { bits: 0b0, length: 1 }
const CODE_OF_ZERO: Code = { bits: 0b10, length: 2 }
const CODE_OF_END: Code = { bits: 0b11, length: 2 }
const CODE_OF_DISTANCE: Code = { bits: 0b0, length: 1 }

/** RFC 1951 §3.2.7: the code lengths, themselves coded with the symbols 1, 2 and 18 (zeros). */
function writeBlockHeader(bits: BitWriter): void {
  bits.write(1, 1) // final
  bits.write(2, 2) // dynamic Huffman codes
  bits.write(SYMBOL.longestMatch + 1 - 257, 5) // HLIT
  bits.write(0, 5) // HDIST: one distance code
  bits.write(18 - 4, 4) // HCLEN: up to symbol 1, 18th in the order of the RFC
  const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
  const lengthOf: Record<number, number> = { 18: 1, 1: 2, 2: 2 }
  for (const symbol of order) bits.write(lengthOf[symbol] ?? 0, 3)

  const zeros = (count: number) => {
    bits.writeCode({ bits: 0b0, length: 1 }) // symbol 18: 11 to 138 zeros
    bits.write(count - 11, 7)
  }
  const one = { bits: 0b10, length: 2 }
  const two = { bits: 0b11, length: 2 }
  bits.writeCode(two) // literal zero
  zeros(138)
  zeros(117) // literals 1 to 255
  bits.writeCode(two) // end of block
  zeros(28) // lengths 257 to 284
  bits.writeCode(one) // longest match
  bits.writeCode(one) // distance 1
}

/** Bits in deflate's order: numbers from their lowest bit on, codes from their highest. */
class BitWriter {
  #bytes: number[] = []
  #pending = 0
  #count = 0

  write(value: number, length: number): void {
    this.#pending |= value << this.#count
    this.#count += length
    for (; this.#count >= 8; this.#count -= 8) {
      this.#bytes.push(this.#pending & 0xff)
      this.#pending >>>= 8
    }
  }

  writeCode({ bits, length }: Code): void {
    for (let bit = length - 1; bit >= 0; bit--) this.write((bits >>> bit) & 1, 1)
  }

  finish(): Uint8Array {
    if (this.#count > 0) this.#bytes.push(this.#pending & 0xff)
    return Uint8Array.from(this.#bytes)
  }
}
