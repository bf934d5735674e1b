import { randomUUID } from 'node:crypto'
import { link, open, rename, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sha256 } from '#protocol/sha256.ts'
import { isContentOf } from './chunk-codec.ts'
import { CODECS, replacedName } from './chunk-file.ts'
import type { ChunkForm, Codec } from './chunk-store.ts'
import { touchChunks } from './chunk-threads.ts'
import { codeOf, ignore } from './directory-error.ts'
import { chunkPath, getCodec, temporaryPath } from './place-chunk.ts'
import { readWhole } from './read-chunk-file.ts'

/**
 * How the files of a chunk in a directory store are replaced, removed and set aside. Changes of one
 * chunk come one after the other; touches, reads and crashes come at any moment.
 */

export const QUARANTINE_FOLDER = 'quarantine'

export function replacedPath(folder: string, hash: Sha256, form: ChunkForm): string {
  return join(folder, hash.slice(0, 2), replacedName(hash, form))
}

/** False if there is nothing to take the place of. */
export async function replaceChunk(
  folder: string,
  hash: Sha256,
  bytes: Uint8Array,
): Promise<boolean> {
  const codec = getCodec(hash, bytes)
  const [old] = (await touchChunks(folder, [hash])).sizes
  if (!old) return false
  const temporary = temporaryPath(folder)
  try {
    await write(temporary, bytes)
    // What it takes the place of survives a power failure, so this must before it does.
    await using file = await open(temporary, 'r+')
    await file.datasync()
    if (!(await keepAside(folder, hash, old))) return false
    const path = chunkPath(folder, hash, codec)
    await rename(temporary, path)
    // Who touched it meanwhile touched what is aside now.
    await utimes(path, new Date(), new Date()).catch(ignore('ENOENT'))
    for (const other of CODECS)
      if (other !== codec) await unlink(chunkPath(folder, hash, other)).catch(ignore('ENOENT'))
    return true
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx', 0o640)
  await file.writeFile(bytes)
  // The kernel's own time stamps lag a few milliseconds behind the clock that cutoffs come from.
  await file.utimes(new Date(), new Date())
}

/** False if it is gone. Another name for the same file: its time, from here on, is that of the replacement. */
async function keepAside(folder: string, hash: Sha256, form: ChunkForm): Promise<boolean> {
  const aside = replacedPath(folder, hash, form)
  try {
    await link(chunkPath(folder, hash, form.codec), aside).catch(ignore('EEXIST'))
    await utimes(aside, new Date(), new Date())
    return true
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return false
    throw cause
  }
}

/**
 * Moved away first and looked at again: a touch either came before, and is seen now, or finds no
 * file and its caller stores the chunk anew. So no lock is needed against touches.
 */
export async function removeUntouched(
  folder: string,
  path: string,
  cutoff: Date,
): Promise<boolean> {
  const found = await stat(path).catch(ignore('ENOENT'))
  if (!found || found.mtimeMs >= cutoff.getTime()) return false
  const aside = temporaryPath(folder)
  await rename(path, aside)
  const wasTouched = (await stat(aside)).mtimeMs >= cutoff.getTime()
  if (wasTouched) await link(aside, path).catch(ignore('EEXIST'))
  await unlink(aside)
  return !wasTouched
}

/**
 * Moved away first and looked at again: whoever found it damaged did so a while ago, and another may
 * have healed it since.
 */
export async function setAside(folder: string, hash: Sha256, codec: Codec): Promise<boolean> {
  const path = chunkPath(folder, hash, codec)
  const kept = join(folder, QUARANTINE_FOLDER, `${randomUUID()}-${hash}.${codec}`)
  if (!(await rename(path, kept).then(() => true, ignore('ENOENT')))) return false
  const bytes = await readWhole(kept, undefined, true).catch(ignore('EIO'))
  if (!bytes || !(await isContentOf(hash, bytes))) return true
  await link(kept, path).catch(ignore('EEXIST'))
  await unlink(kept)
  return false
}
