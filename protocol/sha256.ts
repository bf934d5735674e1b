/** A SHA-256 as 64 lower-case hexadecimal digits: the name of a chunk and of a manifest. */
export type Sha256 = string & { readonly __sha256: unique symbol }

export const SHA256_PATTERN = '^[0-9a-f]{64}$'

const SHA256_REGEXP = new RegExp(SHA256_PATTERN)

/** Throws TypeError for anything but 64 lower-case hexadecimal digits. */
export function parseSha256(text: string): Sha256 {
  if (!SHA256_REGEXP.test(text)) throw new TypeError(`Not a SHA-256 in lower-case hex: "${text}"`)
  return text as Sha256 // the one cast to Sha256 in the codebase
}
