import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

/** Folder of what is costly to make: outside the clone, so that a fresh clone finds it again. */
export async function cacheFolder(...parts: string[]): Promise<string> {
  const base =
    process.env['STAMPEDE_LAB_CACHE'] ??
    path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'stampede', 'lab')
  const folder = path.resolve(base, ...parts)
  await mkdir(folder, { recursive: true })
  return folder
}

/** A short key that changes when one of the files or the values changes. */
export async function cacheKey(files: string[], values: string[] = []): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) hash.update(await readFile(path.join(import.meta.dirname, file)))
  for (const value of values) hash.update(`\0${value}`)
  return hash.digest('hex').slice(0, 16)
}
