import type { Entry, ImageFileSystem } from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { PARTITION, readText, runReader } from './run-reader.ts'

/** FAT and NTFS: what is in a directory is listed, and a file found in the list of its own. */

/** By mtools. */
export function fatFileSystem(spoolPath: string, signal: AbortSignal): ImageFileSystem {
  const run = (program: string, args: string[]) => ({
    command: [program, ...args],
    spoolPath,
    signal,
  })
  return namedIn({
    async list(path) {
      const text = await readText(run('mdir', ['-i', PARTITION, '-b', '-a', `::${literal(path)}/`]))
      return listed(text, /^::.*?([^/]+)(\/?)$/)
    },
    read: (path) => runReader(run('mtype', ['-i', PARTITION, `::${literal(path)}`])),
  })
}

/** mtools takes patterns. */
function literal(path: string): string {
  if (/[*?[\]\\:]/.test(path))
    throw new ImageFileError('bad-path', `No name on FAT has one of * ? [ ] \\ : in it`)
  return path === '/' ? '' : path
}

/** By ntfs-3g's tools. */
export function ntfsFileSystem(spoolPath: string, signal: AbortSignal): ImageFileSystem {
  const run = (program: string, args: string[]) => ({
    command: [program, ...args],
    spoolPath,
    signal,
  })
  return namedIn({
    async list(path) {
      const text = await readText(run('ntfsls', ['-f', '-F', '-p', path, PARTITION]))
      return listed(text, /^(.+?)(\/?)$/)
    },
    read: (path) => runReader(run('ntfscat', ['-f', PARTITION, path])),
  })
}

/** An entry a line: its name, and a slash after that of a directory. */
function listed(text: string, entry: RegExp): Entry[] {
  return text.split('\n').flatMap((line) => {
    const [, name, slash] = entry.exec(line) ?? []
    if (name === undefined || name === '.' || name === '..') return []
    return { name, kind: slash === '/' ? 'directory' : 'file' }
  })
}

/** Names there are alike whatever their case. */
function namedIn(system: Omit<ImageFileSystem, 'stat'>): ImageFileSystem {
  return {
    ...system,
    async stat(path): Promise<Entry | undefined> {
      const parts = path.split('/')
      const name = parts.pop()!.toLowerCase()
      const entries = await system.list(parts.join('/') || '/')
      return entries.find((entry) => entry.name.toLowerCase() === name)
    },
  }
}
