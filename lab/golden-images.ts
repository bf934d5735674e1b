import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { cacheFolder, cacheKey } from './cache.ts'
import { debianMirror } from './debian-mirror.ts'
import { openLock } from './lock.ts'
import { makeDisk } from './golden-disk.ts'
import { COMMON_PACKAGES, DPKG_FILTERS, GOLDEN_RECIPES, SUITE } from './golden-recipes.ts'
import type { GoldenName } from './golden-recipes.ts'
import { makeTree, packBaseTree } from './golden-tree.ts'

/** Everything that decides what an image looks like. */
const INPUTS = ['golden-recipes.ts', 'golden-tree.ts', 'golden-disk.ts', 'golden-grub.ts']

const WORK_PREFIX = 'making-'
/** No image takes as long; a folder of that age belonged to a process that was killed. */
const ABANDONED_AFTER_MS = 2 * 60 * 60_000

export type Progress = (message: string) => void

/**
 * Path of a raw, sparse disk image, made if the cache lacks it (a few minutes for the first, since
 * the tree that all share is made then). Never write to it: machines boot from an overlay.
 */
export async function goldenImage(
  name: GoldenName,
  progress: Progress = () => undefined,
): Promise<string> {
  const cache = await cacheFolder()
  const recipe = GOLDEN_RECIPES[name]
  const key = await cacheKey(INPUTS, [name])
  const image = path.join(cache, `golden-${name}-${key}.raw`)
  if (existsSync(image)) return image
  await using _lock = await openLock(path.join(cache, 'making.lock'), progress)
  if (existsSync(image)) return image // another process made it meanwhile

  const tarball = await baseTree(cache, progress)
  const folder = await makeWorkFolder(cache)
  try {
    progress(`Making the system of golden image ${name} (${recipe.title})`)
    const tree = path.join(folder, 'tree')
    await makeTree(tarball, tree, recipe)
    progress(`Writing the disk of golden image ${name}`)
    const disk = path.join(folder, 'disk.raw')
    await makeDisk(disk, tree, recipe, folder)
    await rename(disk, image)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const { blocks } = await stat(image)
  progress(`Golden image ${name} is ready: ${Math.round((blocks * 512) / 1e6)} MB of data`)
  return image
}

async function baseTree(cache: string, progress: Progress): Promise<string> {
  const values = [SUITE, ...COMMON_PACKAGES, ...DPKG_FILTERS]
  const tarball = path.join(cache, `base-${await cacheKey(['golden-tree.ts'], values)}.tar.zst`)
  if (existsSync(tarball)) return tarball

  const mirror = process.env['STAMPEDE_LAB_MIRROR'] ?? (await debianMirror())
  progress(`Making the Debian tree that the golden images share, from ${mirror}`)
  const folder = await makeWorkFolder(cache)
  try {
    const temporary = path.join(folder, 'base.tar.zst')
    await packBaseTree(temporary, folder, mirror)
    await rename(temporary, tarball)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return tarball
}

/** A new folder beside the results, so that these are moved, not copied. Old ones are removed. */
async function makeWorkFolder(cache: string): Promise<string> {
  for (const name of await readdir(cache)) {
    const folder = path.join(cache, name)
    const isAbandoned = async () => Date.now() - (await stat(folder)).mtimeMs > ABANDONED_AFTER_MS
    if (name.startsWith(WORK_PREFIX) && (await isAbandoned())) await rm(folder, { recursive: true })
  }
  return mkdtemp(path.join(cache, WORK_PREFIX))
}
