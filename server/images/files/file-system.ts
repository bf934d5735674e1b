import { ImageFileError } from './image-file-error.ts'

export type EntryKind = 'file' | 'directory' | 'symlink' | 'other'

export interface Entry {
  name: string
  kind: EntryKind
  /** Of a file, if the reader tells. */
  sizeBytes?: number
  /** Of a link. */
  target?: string
}

/** A file system that is only read. Paths are absolute, have no `..`, and lead through no link. */
export interface ImageFileSystem {
  /** Undefined if there is nothing of that name; `name` as it is there, whatever the case asked for. */
  stat(path: string): Promise<Entry | undefined>
  list(path: string): Promise<Entry[]>
  read(path: string): AsyncIterable<Uint8Array>
}

/** How many bytes of a partition tell what it holds. */
export const HEAD_BYTES = 128 * 1024

export type FileSystemKind = 'ext' | 'xfs' | 'btrfs' | 'ntfs' | 'fat'

/** Magic numbers, as blkid looks for them. */
const MAGIC: readonly [kind: string, at: number, latin1: string][] = [
  ['ext', 1080, '\x53\xef'],
  ['xfs', 0, 'XFSB'],
  ['btrfs', 65_536 + 64, '_BHRfS_M'],
  ['NTFS', 3, 'NTFS    '],
  ['LVM', 536, 'LVM2 001'],
  ['LUKS', 0, 'LUKS\xba\xbe'],
  ['BitLocker', 3, '-FVE-FS-'],
  ['FAT', 82, 'FAT32   '],
  ['FAT', 54, 'FAT16   '],
  ['FAT', 54, 'FAT12   '],
  ['swap', 4086, 'SWAPSPACE2'],
]

const READABLE: Record<string, FileSystemKind> = {
  ext: 'ext',
  xfs: 'xfs',
  btrfs: 'btrfs',
  NTFS: 'ntfs',
  FAT: 'fat',
}

/** What is there, as people call it; undefined: nothing that we know. */
export function detectContent(head: Uint8Array): string | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  const found = MAGIC.find(
    ([, at, text]) => bytes.toString('latin1', at, at + text.length) === text,
  )
  return found?.[0]
}

/** Which reader takes it, if one does. */
export function readableKind(content: string | undefined): FileSystemKind | undefined {
  return content === undefined ? undefined : READABLE[content]
}

const MAX_LINKS = 40
const MAX_PATH_CHARACTERS = 4096

/**
 * Follows a path through directories and links. Both stay inside: `/` is the root of the file system,
 * also for a link, and nothing is above it. Throws ImageFileError.
 */
export async function resolvePath(
  system: Pick<ImageFileSystem, 'stat'>,
  path: string,
): Promise<{ path: string; entry: Entry }> {
  checkPath(path)
  const pending = path.split('/')
  const done: string[] = []
  let entry: Entry = { name: '/', kind: 'directory' }
  for (let links = 0; pending.length > 0;) {
    const part = pending.shift()!
    if (part === '' || part === '.') continue
    if (part === '..') {
      done.pop()
      entry = { name: done.at(-1) ?? '/', kind: 'directory' }
      continue
    }
    const next = `/${[...done, part].join('/')}`
    const found = await system.stat(next)
    if (!found) throw new ImageFileError('no-such-file', `There is no "${next}" in the image`)
    if (found.kind === 'symlink') {
      const target = found.target ?? ''
      if (++links > MAX_LINKS || target.length > MAX_PATH_CHARACTERS)
        throw new ImageFileError('no-such-file', `"${path}" leads through too many links`)
      checkPath(`/${target}`)
      if (target.startsWith('/')) done.length = 0
      pending.unshift(...target.split('/'))
      entry = { name: done.at(-1) ?? '/', kind: 'directory' }
      continue
    }
    if (found.kind !== 'directory' && pending.some((rest) => rest !== '' && rest !== '.'))
      throw new ImageFileError('not-a-directory', `"${next}" is no directory`)
    done.push(found.name)
    entry = found
  }
  return { path: `/${done.join('/')}`, entry }
}

/** Readers take commands by the line, so that a name may not end one. */
function checkPath(path: string): void {
  if (!path.startsWith('/'))
    throw new ImageFileError('bad-path', `"${path}" must begin with "/", the root of the image`)
  if (path.length > MAX_PATH_CHARACTERS || /\p{Cc}/u.test(path))
    throw new ImageFileError(
      'bad-path',
      `A path has at most ${MAX_PATH_CHARACTERS} characters, and no control characters`,
    )
}
