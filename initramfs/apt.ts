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

const DEFAULT_SOURCES = [
  `http://deb.debian.org/debian ${DEBIAN_SUITE} main`,
  `http://deb.debian.org/debian ${DEBIAN_SUITE}-updates main`,
  `http://deb.debian.org/debian-security ${DEBIAN_SUITE}-security main`,
]
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
 * The mirrors that the host already uses for our release, else Debian's own.
 * Third-party sources are left out: their packages must not end up in the initramfs.
 */
export function chooseSources(indexTargets: string): string[] {
  const lines = indexTargets.split('\n').flatMap((line) => {
    const [uri, release, component, origin] = line.split('|')
    const ours = origin === 'Debian' && release?.split('-')[0] === DEBIAN_SUITE
    return ours && component === 'main' ? [`${uri} ${release} main`] : []
  })
  const unique = [...new Set(lines)]
  return unique.some((line) => line.includes(` ${DEBIAN_SUITE} `)) ? unique : DEFAULT_SOURCES
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
  const targets = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'])
  return chooseSources(targets)
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
