import { open } from 'node:fs/promises'
import type { Entry, EntryKind, ImageFileSystem } from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { PARTITION, readText } from './run-reader.ts'

/** What xfs_db calls what is in a directory. */
const KINDS: Record<string, EntryKind> = {
  regular: 'file',
  directory: 'directory',
  symlink: 'symlink',
}
const KIND_OF_MODE: Record<string, EntryKind> = { '10': 'file', '04': 'directory', '12': 'symlink' }
const READ_BYTES = 1024 * 1024

/** XFS: xfs_db of xfsprogs finds where a file is, and its blocks are read from there. */
export function xfsFileSystem(spoolPath: string, signal: AbortSignal): ImageFileSystem {
  const ask = (...commands: string[]) =>
    readText({
      command: ['xfs_db', '-r', '-f', ...commands.flatMap((each) => ['-c', each]), PARTITION],
      spoolPath,
      signal,
      mayFail: true, // a path that is not there
    })

  async function look(path: string, ...commands: string[]): Promise<string> {
    if (/["'\\\s]/.test(path))
      throw new ImageFileError(
        'bad-path',
        'A name with spaces, quotes or backslashes cannot be asked of xfs_db, which reads XFS',
      )
    return ask(`path ${path}`, ...commands)
  }

  return {
    async stat(path) {
      const text = await look(path, 'print core.mode core.size core.format')
      const mode = fieldOf(text, 'core.mode')
      if (mode === undefined && /: (No such file|Not a directory)/.test(text)) return undefined
      if (mode === undefined)
        throw new ImageFileError('unreadable-file-system', `xfs_db cannot read it: ${text.trim()}`)
      const kind = KIND_OF_MODE[mode.padStart(7, '0').slice(-6, -4)] ?? 'other'
      const name = path.split('/').at(-1)!
      if (kind === 'file') return { name, kind, sizeBytes: Number(fieldOf(text, 'core.size')) }
      if (kind !== 'symlink') return { name, kind }
      const target = /^u3?\.symlink = "(.*)"$/m.exec(await look(path, 'print'))?.[1]
      if (target === undefined)
        throw new ImageFileError('no-such-file', `The link "${path}" is too long to be followed`)
      return { name, kind, target }
    },

    async list(path) {
      const text = await look(path, 'ls')
      return text.split('\n').flatMap((line) => entryOf(line) ?? [])
    },

    async *read(path) {
      const text = await look(path, 'print core.size', 'bmap')
      const sizeBytes = Number(fieldOf(text, 'core.size'))
      const shape = await ask('sb 0', 'print blocksize agblocks')
      const blockBytes = Number(fieldOf(shape, 'blocksize'))
      const groupBlocks = Number(fieldOf(shape, 'agblocks'))
      await using file = await open(spoolPath, 'r')
      let at = 0
      async function* zeros(end: number) {
        for (; at < end; at += Math.min(READ_BYTES, end - at))
          yield new Uint8Array(Math.min(READ_BYTES, end - at))
      }
      for (const extent of extentsOf(text)) {
        const start = Math.min(sizeBytes, extent.offset * blockBytes)
        const end = Math.min(sizeBytes, (extent.offset + extent.count) * blockBytes)
        yield* zeros(extent.isUnwritten ? end : start)
        const from = (extent.group * groupBlocks + extent.block) * blockBytes
        for (; at < end;) {
          signal.throwIfAborted()
          const bytes = new Uint8Array(Math.min(READ_BYTES, end - at))
          const { bytesRead } = await file.read(bytes, 0, bytes.length, from + at - start)
          if (bytesRead === 0)
            throw new ImageFileError(
              'unreadable-file-system',
              `"${path}" lies beyond its file system`,
            )
          at += bytesRead
          yield bytes.subarray(0, bytesRead)
        }
      }
      yield* zeros(sizeBytes)
    },
  }
}

function fieldOf(text: string, name: string): string | undefined {
  return new RegExp(`^${name.replace('.', '\\.')} = (\\S+)`, 'm').exec(text)?.[1]
}

/** `12  262273  regular  0x6e7d30e4  5 fstab (good)` */
function entryOf(line: string): Entry | undefined {
  const [, type, name] = /^\d+\s+\d+\s+(\S+)\s+0x[0-9a-f]+\s+\d+ (.+) \(\w+\)$/.exec(line) ?? []
  if (name === undefined || name === '.' || name === '..') return undefined
  return { name, kind: KINDS[type!] ?? 'other' }
}

/** `data offset 0 startblock 32792 (1/24) count 768 flag 0`, in blocks; flag 1: allocated, not written. */
function extentsOf(text: string) {
  const lines = text.matchAll(
    /^data offset (\d+) startblock \d+ \((\d+)\/(\d+)\) count (\d+) flag (\d)/gm,
  )
  return [...lines].map(([, offset, group, block, count, flag]) => ({
    offset: Number(offset),
    group: Number(group),
    block: Number(block),
    count: Number(count),
    isUnwritten: flag === '1',
  }))
}
