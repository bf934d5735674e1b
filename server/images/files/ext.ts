import type { Entry, EntryKind, ImageFileSystem } from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { PARTITION, readText, runReader } from './run-reader.ts'

const KINDS: Record<string, EntryKind> = {
  regular: 'file',
  directory: 'directory',
  symlink: 'symlink',
}
/** Of a mode, in octal: the kind of file. */
const KIND_OF_MODE: Record<string, EntryKind> = { '10': 'file', '04': 'directory', '12': 'symlink' }

/** ext2, ext3 and ext4, read by debugfs of e2fsprogs, which opens it without its journal. */
export function extFileSystem(spoolPath: string, signal: AbortSignal): ImageFileSystem {
  const command = (request: string) => ({
    command: ['debugfs', '-R', request, PARTITION],
    spoolPath,
    signal,
  })

  return {
    async stat(path) {
      let message = ''
      const onMessage = (told: string) => (message = told)
      const text = await readText({ ...command(`stat ${quoted(path)}`), onMessage })
      const type = /^Inode: \d+\s+Type: (\S+)/m.exec(text)?.[1]
      if (type === undefined && message.includes('File not found')) return undefined
      if (type === undefined)
        throw new ImageFileError(
          'unreadable-file-system',
          `debugfs cannot read it: ${message.replace(/^debugfs .*\n/, '').trim()}`,
        )
      const kind = KINDS[type] ?? 'other'
      const name = path.split('/').at(-1)!
      if (kind === 'file') return { name, kind, sizeBytes: Number(/ Size: (\d+)/.exec(text)?.[1]) }
      if (kind !== 'symlink') return { name, kind }
      const short = /^Fast link dest: "(.*)"$/m.exec(text)?.[1]
      return { name, kind, target: short ?? (await readText(command(`cat ${quoted(path)}`))) }
    },

    async list(path) {
      const text = await readText(command(`ls -p ${quoted(path)}`))
      return text.split('\n').flatMap((line) => entryOf(line) ?? [])
    },

    read: (path) => runReader(command(`cat ${quoted(path)}`)),
  }
}

/** `/12/100644/0/0/fstab/664/`: inode, mode, owners, name, size. */
function entryOf(line: string): Entry | undefined {
  const [, mode, name, size] = /^\/\d+\/(\d{6})\/\d+\/\d+\/(.+)\/(\d*)\/$/.exec(line) ?? []
  if (name === undefined || name === '.' || name === '..') return undefined
  const kind = KIND_OF_MODE[mode!.slice(0, 2)] ?? 'other'
  return { name, kind, ...(kind === 'file' && { sizeBytes: Number(size) }) }
}

/** As debugfs's command line has it. */
function quoted(path: string): string {
  return `"${path.replaceAll('"', '""')}"`
}
