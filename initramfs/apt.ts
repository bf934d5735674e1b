import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DEBIAN_SUITE } from './recipe.ts'
import { run } from './run.ts'

/** One line of `apt-get --print-uris`. */
export interface PackageFile {
  name: string
  version: string
  fileName: string
  sizeBytes: number
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Reads what `apt-get --print-uris` prints: quoted URI, file name, size, hash. */
export function parsePrintedUris(text: string): PackageFile[] {
  return [...text.matchAll(/^'[^']+' (\S+) (\d+)/gm)].map((line) => {
    const [, fileName = '', size = ''] = line
    const [name = '', version = ''] = fileName.split('_')
    // apt writes the epoch's colon as %3a, since a file name may not hold it everywhere.
    return { name, version: decodeURIComponent(version), fileName, sizeBytes: Number(size) }
  })
}

/**
 * The host's Debian mirrors, with our release; on a host of another release, the same mirrors with
 * our release's name. Third-party sources are left out: their packages must not end up in the
 * initramfs. Empty where the host has no Debian source, or never fetched its index.
 */
export function chooseSources(indexTargets: string): string[] {
  const debian = indexTargets.split('\n').flatMap((line) => {
    const [uri, release, component, origin] = line.split('|')
    return origin === 'Debian' && component === 'main' && release ? [{ uri, release }] : []
  })
  const ours = debian.filter(({ release }) => release.split('-')[0] === DEBIAN_SUITE)
  const hasOurs = ours.some(({ release }) => release === DEBIAN_SUITE)
  const lines = (hasOurs ? ours : debian).map(
    ({ uri, release }) => `${uri} ${release.replace(/^[^-]+/, DEBIAN_SUITE)} main`,
  )
  return [...new Set(lines)]
}

/**
 * An apt of our own in `folder`: own sources, own index, and an empty package database, so that
 * dependencies are resolved as if nothing were installed. Nothing of the host is changed.
 */
export async function openPrivateApt(folder: string, extraComponents: string[]) {
  const settings = {
    'Dir::State': folder,
    'Dir::State::status': join(folder, 'status'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': join(folder, 'empty'),
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': join(folder, 'empty'),
    'Debug::NoLocking': 'true',
    'APT::Architecture': 'amd64',
    'APT::Architectures': 'amd64',
    // Root would otherwise download as user _apt, which cannot write below a home folder.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Update::Error-Mode': 'any', // else an unreachable mirror is only a warning
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  for (const name of ['lists/partial', 'archives/partial', 'empty']) {
    await mkdir(join(folder, name), { recursive: true })
  }
  await writeFile(join(folder, 'status'), '')
  const sources = await findSources()
  const text = sources
    .map(
      (line) => `deb [arch=amd64 signed-by=${KEYRING}] ${[line, ...extraComponents].join(' ')}\n`,
    )
    .join('')
  await writeFile(join(folder, 'sources.list'), text)
  return createApt(options)
}

async function findSources(): Promise<string[]> {
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)'
  const list = async () =>
    chooseSources(
      await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']),
    )
  let sources = await list()
  if (sources.length === 0 && process.getuid?.() === 0) {
    // A fresh system never fetched its index, so apt does not know whose archives they are.
    await run('apt-get', ['-qq', 'update'])
    sources = await list()
  }
  if (sources.length === 0)
    throw new Error(
      'apt knows no Debian archive here, from which the boot system is built; add one to ' +
        '/etc/apt/sources.list.d and run "apt-get update"',
    )
  return sources
}

function createApt(options: string[]) {
  return {
    /** Fetches the package index. */
    async refresh(): Promise<void> {
      await run('apt-get', [...options, '-qq', 'update'])
    },
    /** `packages` and all they depend on. */
    async resolve(packages: string[]): Promise<PackageFile[]> {
      const install = ['-qq', 'install', '--no-install-recommends', '--print-uris', ...packages]
      return parsePrintedUris(await run('apt-get', [...options, ...install]))
    },
    /** Downloads into `debFolder`; apt checks the hashes that the signed index names. */
    async download(files: PackageFile[], debFolder: string): Promise<void> {
      const versions = files.map((file) => `${file.name}=${file.version}`)
      await run('apt-get', [...options, '-qq', 'download', ...versions], { cwd: debFolder })
    },
  }
}
