import { IMAGE_NAME_PATTERN } from '#protocol/shapes.ts'

const ENDINGS = /\.(img|raw|qcow2|iso|gz|xz|zst|zstd|bz2|bin|dd)$/i
const MAX_NAME_CHARACTERS = 128
const NAME = new RegExp(IMAGE_NAME_PATTERN)

/** `Debian 13 (Prüfung).qcow2` becomes `debian-13-prufung`. Empty if nothing of it may be in a name. */
export function imageNameFrom(fileName: string): string {
  let stem = fileName
  while (ENDINGS.test(stem)) stem = stem.replace(ENDINGS, '')
  return stem
    .normalize('NFKD')
    .replaceAll(/\p{Mark}+/gu, '') // of letters with marks the letters stay
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|[._-]+$/g, '')
    .slice(0, MAX_NAME_CHARACTERS)
}

export function imageNameMistake(name: string): string | undefined {
  if (NAME.test(name)) return undefined
  return 'Small letters, digits, dots, dashes and underscores; a letter or a digit first'
}
