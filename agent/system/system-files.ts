import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * The files of a deployed system, by their paths in it. An image may be hostile: its symbolic links
 * are followed as if its root were `/`, so none leads out of it, and what is no regular file (a
 * FIFO, a device) is neither read nor written. Nothing else runs in that root meanwhile.
 */
export interface SystemFiles {
  readonly root: string
  /** Text of a regular file; undefined if there is none. */
  read(path: string): Promise<string | undefined>
  /** Replaces the content and keeps owner, mode and labels; `mode` is for a new file. */
  write(path: string, content: string | Uint8Array, mode?: number): Promise<void>
  /** A link of this text, in place of a file or link that is there. */
  link(path: string, target: string): Promise<void>
  /** Removes a file, link or whole folder; the links in it are not followed. */
  remove(path: string): Promise<void>
  /** Names in a folder, sorted; none if there is no such folder. */
  list(path: string): Promise<string[]>
  /** What is there; a link is followed. */
  kind(path: string): Promise<FileKind | undefined>
  /** Text of the symbolic link that is there. */
  linkTarget(path: string): Promise<string | undefined>
  /** The place on our side, all links followed. */
  resolve(path: string): Promise<string>
}

export type FileKind = 'file' | 'folder' | 'other'

/** A configuration file; more is not read. */
const MAX_FILE_BYTES = 1024 * 1024
/** As the kernel's own limit, path_resolution(7). */
const MAX_LINKS = 40

export function createSystemFiles(root: string): SystemFiles {
  async function resolve(path: string, last: 'follow' | 'keep' = 'follow'): Promise<string> {
    return join(root, ...(await resolveParts(root, path, last)))
  }

  async function kind(path: string): Promise<FileKind | undefined> {
    const stats = await lstat(await resolve(path)).catch(ifAbsent)
    if (!stats) return undefined
    return stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : 'other'
  }

  return {
    root,
    resolve,
    kind,

    async read(path) {
      if ((await kind(path)) !== 'file') return undefined
      await using file = await open(await resolve(path), READ_FLAGS)
      const { size } = await file.stat()
      if (size > MAX_FILE_BYTES)
        throw new Error(`"${path}" of the deployed system has ${size} bytes, which is too long`)
      return await file.readFile('utf8')
    },

    async write(path, content, mode = 0o644) {
      const found = await kind(path)
      if (found && found !== 'file')
        throw new Error(`"${path}" of the deployed system is no regular file`)
      const place = await resolve(path)
      await mkdir(dirname(place), { recursive: true })
      await using file = await open(place, WRITE_FLAGS, mode)
      await file.writeFile(content)
      if (!found) await chmod(place, mode) // whatever the umask
      await file.sync()
    },

    async link(path, target) {
      const place = await resolve(path, 'keep')
      await rm(place, { force: true })
      await mkdir(dirname(place), { recursive: true })
      await symlink(target, place)
    },

    async remove(path) {
      const place = await resolve(path, 'keep')
      if (place !== root) await rm(place, { recursive: true, force: true })
    },

    async list(path) {
      if ((await kind(path)) !== 'folder') return []
      return (await readdir(await resolve(path))).toSorted()
    },

    async linkTarget(path) {
      return await readlink(await resolve(path, 'keep')).catch(() => undefined)
    },
  }
}

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const WRITE_FLAGS =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/** The names that `path` comes to inside of `root`; what does not exist is taken literally. */
async function resolveParts(
  root: string,
  path: string,
  last: 'follow' | 'keep',
): Promise<string[]> {
  const pending = path.split('/')
  const resolved: string[] = []
  let links = 0
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '' || name === '.') continue
    if (name === '..') {
      resolved.pop() // `..` of the root is the root
      continue
    }
    const isLast = pending.every((rest) => rest === '' || rest === '.')
    const place = join(root, ...resolved, name)
    const target =
      isLast && last === 'keep' ? undefined : await readlink(place).catch(() => undefined)
    if (target === undefined) {
      resolved.push(name)
      continue
    }
    if (++links > MAX_LINKS) throw new Error(`"${path}" of the deployed system is a loop of links`)
    if (target.startsWith('/')) resolved.length = 0
    pending.unshift(...target.split('/'))
  }
  return resolved
}

function ifAbsent(err: NodeJS.ErrnoException): undefined {
  if (err.code === 'ENOENT' || err.code === 'ENOTDIR') return undefined
  throw err
}
