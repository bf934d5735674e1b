import { readdir, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Temporary folders begin like this; a build that was killed leaves its own behind. */
export const BUILD_PREFIX = 'build-'
export const APT_PREFIX = 'apt-'
export const BASE_PREFIX = 'base-'

const TEMPORARY = [BUILD_PREFIX, APT_PREFIX]
const KEPT_BASES = 3
/** No build takes as long. */
const STALE_MS = 24 * 60 * 60_000

/** Downloads and intermediate results, shared by all clones of the project. */
export function cacheFolder(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return join(cache, 'stampede/initramfs')
}

/** Makes room for one more base and removes what killed builds left. */
export async function tidyCache(folder: string): Promise<void> {
  const aged = await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => undefined)
      return { name, at: found?.mtimeMs ?? Date.now() } // another build's, gone meanwhile
    }),
  )
  const bases = aged.filter(({ name }) => name.startsWith(BASE_PREFIX))
  const oldBases = bases.sort((a, b) => b.at - a.at).slice(KEPT_BASES - 1)
  const stale = aged.filter(
    ({ name, at }) =>
      at < Date.now() - STALE_MS && TEMPORARY.some((prefix) => name.startsWith(prefix)),
  )
  for (const { name } of [...oldBases, ...stale]) {
    await rm(join(folder, name), { recursive: true, force: true })
  }
}
