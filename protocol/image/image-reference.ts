import { IMAGE_REFERENCE_PATTERN } from '../names.ts'

/** What names an image: `debian-12`, `debian-12@3`, `debian-12@latest`. */
export interface ParsedReference {
  name: string
  /** Undefined: the promoted one. */
  version: number | 'latest' | undefined
}

const REFERENCE = new RegExp(IMAGE_REFERENCE_PATTERN)

export function isImageReference(text: string): boolean {
  return REFERENCE.test(text)
}

/** Throws TypeError. */
export function parseImageReference(text: string): ParsedReference {
  if (!isImageReference(text)) throw new TypeError(`Not an image, or a version of one: "${text}"`)
  const [name, version] = text.split('@')
  return {
    name: name!,
    version: version === undefined || version === 'latest' ? version : Number(version),
  }
}

/** `debian-12` of `debian-12@3`. */
export function imageNameOf(reference: string): string {
  return reference.split('@', 1)[0]!
}

/** The shortest that names this version: `debian-12` where the name alone stands for it, else `debian-12@3`. */
export function referenceTo(version: {
  image: string
  version: number
  isPromoted: boolean
}): string {
  return version.isPromoted ? version.image : `${version.image}@${version.version}`
}
