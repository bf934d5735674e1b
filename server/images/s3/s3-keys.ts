import { parseSha256, type Sha256, SHA256_PATTERN } from '#protocol/sha256.ts'
import { CODECS } from '../store/chunk-file.ts'
import type { ChunkForm } from '../store/chunk-store.ts'

/** How the objects of a chunk store in S3 are named, without the prefix of the store. */

export function chunkObject(hash: Sha256): string {
  return `chunks/${hash.slice(0, 2)}/${hash.slice(2)}`
}

/** A form that the chunk had before. */
export function replacedObject(hash: Sha256, { codec, storedBytes }: ChunkForm): string {
  return `replaced/${hash.slice(0, 2)}/${hash.slice(2)}.${codec}.${storedBytes}`
}

/** With what all names begin of chunks whose hash begins so. */
export function objectPrefix(kind: 'chunks' | 'replaced', hashPrefix: string): string {
  const isLong = hashPrefix.length > 2
  const digits = isLong ? `${hashPrefix.slice(0, 2)}/${hashPrefix.slice(2)}` : `${hashPrefix}/`
  return `${kind}/${hashPrefix === '' ? '' : digits}`
}

/** Undefined for what is not named as we would; it is not ours to touch. */
export function findHash(key: string): Sha256 | undefined {
  const [, head, tail, ...more] = key.split('/')
  const text = `${head}${tail}`
  return more.length === 0 && new RegExp(SHA256_PATTERN).test(text) ? parseSha256(text) : undefined
}

/** The same of a form that was replaced. */
export function findForm(key: string): { hash: Sha256; form: ChunkForm } | undefined {
  const [name = '', codecName, length] = key.split('.')
  const hash = findHash(name)
  const codec = CODECS.find((each) => each === codecName)
  return hash && codec && { hash, form: { codec, storedBytes: Number(length) } }
}
