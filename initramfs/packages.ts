import { createHash } from 'node:crypto'
import { mkdir, mkdtempDisposable, readFile, readdir } from 'node:fs/promises'
import { rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PackageFile, openPrivateApt } from './apt.ts'
import { APT_PREFIX } from './cache.ts'
import { formatMegabytes, report } from './report.ts'
import { DEBIAN_SUITE, FIRMWARE_COMPONENT, FIRMWARE_PACKAGES } from './recipe.ts'
import { PACKAGES, UNUSED_DEPENDENCIES } from './recipe.ts'
import { run } from './run.ts'

type PrivateApt = Awaited<ReturnType<typeof openPrivateApt>>

export interface PackageOptions {
  cacheFolder: string
  /** With the firmware that some network cards need, which Debian keeps in non-free-firmware. */
  firmware: boolean
  /** Ask Debian for newer versions even when all packages are here. */
  refresh: boolean
}

/** Downloads the packages of the recipe unless they are in the cache. Returns their files. */
export async function fetchPackages(options: PackageOptions): Promise<PackageFile[]> {
  const { cacheFolder, firmware, refresh } = options
  const debFolder = join(cacheFolder, 'debs')
  const wanted = [...PACKAGES, ...(firmware ? FIRMWARE_PACKAGES : [])]
  const recipe = [DEBIAN_SUITE, wanted, UNUSED_DEPENDENCIES.source]
  const recipeKey = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16)
  const listPath = join(cacheFolder, `packages-${recipeKey}.json`)
  const known = await findList(listPath)
  if (!refresh && known && (await missingFrom(debFolder, known)).length === 0) return known

  await mkdir(debFolder, { recursive: true })
  await using folder = await mkdtempDisposable(join(cacheFolder, APT_PREFIX))
  const apt = await openPrivateApt(folder.path, firmware ? [FIRMWARE_COMPONENT] : [])
  report('Reading the package index of Debian')
  await apt.refresh()
  const resolved = await resolveWith(apt, firmware ? FIRMWARE_PACKAGES : [])
  const files = resolved.filter((file) => !UNUSED_DEPENDENCIES.test(file.name))
  await download(apt, await missingFrom(debFolder, files), folder.path, debFolder)
  await writeFile(join(folder.path, 'list.json'), JSON.stringify(files, undefined, 2))
  await rename(join(folder.path, 'list.json'), listPath)
  await removeOthers(debFolder, files)
  return files
}

/** Not every mirror has the firmware, and most machines do without it. */
async function resolveWith(apt: PrivateApt, optional: string[]): Promise<PackageFile[]> {
  if (optional.length === 0) return apt.resolve(PACKAGES)
  try {
    return await apt.resolve([...PACKAGES, ...optional])
  } catch {
    const resolved = await apt.resolve(PACKAGES)
    report(
      `The Debian mirror has no ${FIRMWARE_COMPONENT}: network cards that need firmware will not work`,
    )
    return resolved
  }
}

async function download(
  apt: PrivateApt,
  files: PackageFile[],
  folder: string,
  debFolder: string,
): Promise<void> {
  if (files.length === 0) return
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  report(`Downloading ${files.length} packages (${formatMegabytes(bytes)})`)
  await mkdir(join(folder, 'new'))
  await apt.download(files, join(folder, 'new'))
  for (const name of await readdir(join(folder, 'new'))) {
    await rename(join(folder, 'new', name), join(debFolder, name))
  }
}

/** Unpacks the packages' files; no maintainer script runs. */
export async function unpackPackages(
  cacheFolder: string,
  files: PackageFile[],
  target: string,
): Promise<void> {
  for (const { fileName } of files) {
    await run('dpkg-deb', ['-x', join(cacheFolder, 'debs', fileName), target])
  }
}

async function missingFrom(folder: string, files: PackageFile[]): Promise<PackageFile[]> {
  const sizes = await Promise.all(
    files.map(({ fileName }) =>
      stat(join(folder, fileName)).then(
        (found) => found.size,
        () => -1,
      ),
    ),
  )
  return files.filter((file, index) => sizes[index] !== file.sizeBytes)
}

async function findList(path: string): Promise<PackageFile[] | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as PackageFile[]
  } catch {
    return undefined // none yet: it is made now
  }
}

async function removeOthers(folder: string, files: PackageFile[]): Promise<void> {
  const kept = new Set(files.map((file) => file.fileName))
  for (const name of await readdir(folder)) {
    if (!kept.has(name)) await rm(join(folder, name))
  }
}
