/** Lower-case hexadecimal; Node 24 has no `Uint8Array.prototype.toHex` yet, browsers no Buffer. */

const DIGITS = new TextEncoder().encode('0123456789abcdef')
const decoder = new TextDecoder('latin1')

/** An image has millions of hashes: digits that were put together one by one take four times as long. */
export function encodeHex(bytes: Uint8Array): string {
  const digits = new Uint8Array(bytes.length * 2)
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]!
    digits[index * 2] = DIGITS[byte >> 4]!
    digits[index * 2 + 1] = DIGITS[byte & 15]!
  }
  return decoder.decode(digits)
}

/** Throws TypeError for anything but pairs of hexadecimal digits. */
export function decodeHex(text: string): Uint8Array {
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) throw new TypeError(`Not hexadecimal: "${text}"`)
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index++)
    bytes[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16)
  return bytes
}
