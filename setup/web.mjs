import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** What a build of the web interface is made of. */
const SOURCES = ['web', 'protocol', 'package-lock.json']
const NO_SOURCES = /^(dist|\.dist-.*|node_modules|client-generator)$/

/** Builds `web/dist` unless it is there, made from the sources as they are. */
export function buildWeb(root, say) {
  const stamp = join(root, 'web', 'dist', '.sources')
  const key = hashSources(root)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return
  say('Building the web interface')
  const bin = join(root, 'node_modules', '.bin')
  // By the pinned Node: the first line of Vite's script would take whichever PATH has.
  const { status, stderr } = spawnSync(
    join(bin, 'node'),
    [join(bin, 'vite'), 'build', 'web', '--logLevel', 'warn'],
    { cwd: root, stdio: ['ignore', 'inherit', 'pipe'], encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`Building the web interface failed: ${stderr}`)
  writeFileSync(stamp, key)
}

function hashSources(root) {
  const hash = createHash('sha256')
  for (const path of SOURCES.flatMap((name) => filesIn(root, name)))
    hash.update(`${path}\0`).update(readFileSync(join(root, path)))
  return hash.digest('hex')
}

function filesIn(root, path) {
  let entries
  try {
    entries = readdirSync(join(root, path), { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path]
    throw error
  }
  return entries
    .filter(({ name }) => !NO_SOURCES.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inner = `${path}/${entry.name}`
      return entry.isDirectory() ? filesIn(root, inner) : [inner]
    })
}
