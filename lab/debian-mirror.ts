import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

const APT_FOLDER = '/etc/apt'

/** The Debian archive that this machine is configured to use, so that a mirror or cache is kept. */
export async function debianMirror(): Promise<string> {
  const folder = path.join(APT_FOLDER, 'sources.list.d')
  const names = await readdir(folder).catch(() => [])
  const files = [path.join(APT_FOLDER, 'sources.list'), ...names.map((n) => path.join(folder, n))]
  for (const file of files) {
    const mirror = findMirror(await readFile(file, 'utf8').catch(() => ''))
    if (mirror) return mirror
  }
  throw new Error(
    `No Debian archive in "${APT_FOLDER}/sources.list" or "sources.list.d"; ` +
      'add the line "deb http://<mirror>/debian bookworm main" or set STAMPEDE_LAB_MIRROR',
  )
}

/**
 * The first Debian archive (not its security or another vendor's archive) in a text of one-line or
 * deb822 sources (sources.list(5)).
 */
export function findMirror(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'))
  const oneLine = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/
  const deb822 = /^URIs:\s*(.*)$/i
  const found = lines.flatMap((line) => {
    const uris = oneLine.exec(line)?.[1] ?? deb822.exec(line)?.[1] ?? ''
    return uris.split(/\s+/)
  })
  return found.find((uri) => /^https?:\/\/.*\/debian\/?$/.test(uri))?.replace(/\/$/, '')
}
