import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'

/** Folders of many files are divided into rooms, each of which imports from those before it only; `.` is the folder itself. */
const ROOMS: [folder: string, rooms: string[]][] = [
  ['protocol', ['.', 'dhcp', 'machine', 'image', 'disk', 'run']],
  [
    'server/api',
    (
      'http access accounts library uploads chunks exports images boot machines runs events ' +
      'network store system . openapi examples docs'
    ).split(' '),
  ],
  ['server/images', ['codec', 'store', 's3', 'export', 'import', 'commit', 'sweep', 'files']],
]

/** Which folders a folder may import from: the tables of ARCHITECTURE.md, longest prefix first. */
const LAYERS: [folder: string, mayImport: string[]][] = [
  ['protocol', []],
  ['server/boot', ['protocol']],
  ['server/runs/rules.ts', ['protocol']],
  ['server/runs', ['protocol', 'server/db']],
  ['server/dhcp', ['protocol', 'server/boot']],
  ['server/tftp', ['protocol', 'server/boot']],
  ['server/db', ['protocol', 'server/give-back.ts']],
  ['server/images', ['protocol', 'server/give-back.ts']],
  [
    'server/api',
    ['protocol', ...'boot runs dhcp tftp db images'.split(' ').map((f) => `server/${f}`)],
  ],
  ['server', ['protocol']],
  ['agent', ['protocol']],
  ['initramfs', ['protocol', 'agent']],
  ['web', ['protocol']],
  ['cli', ['protocol']],
]

/** Pure folders: no I/O, no clock, no randomness, so no Node module either. */
const PURE = /^(protocol|server\/boot)\//

const IMPORT =
  /^\s*(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm

function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  return [...source.matchAll(IMPORT)].map((match) => (match[1] ?? match[2])!)
}

function target(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1)
  if (specifier.startsWith('.')) return relative('.', join(dirname(file), specifier))
  return undefined
}

const isIn = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`)

/** Which of the rooms of `folder` a path is in, counted from the first. */
function place(rooms: string[], folder: string, path: string): number {
  const room = relative(folder, dirname(path)).split('/')[0] || '.'
  const at = rooms.indexOf(room)
  assert.ok(at >= 0, `ROOMS does not say where ${folder}/${room} is`)
  return at
}

describe('layers', () => {
  const files = globSync('{protocol,server,agent,initramfs,web,cli}/**/*.{ts,tsx}')

  it('finds the source', () => assert.ok(files.length > 20, `${files.length} files`))

  it('no folder imports from one above it', () => {
    const wrong = files.flatMap((file) => {
      const [folder, mayImport] = LAYERS.find(([folder]) => isIn(file, folder))!
      return importsOf(file)
        .map((specifier) => target(file, specifier))
        .filter((path) => path !== undefined)
        .filter((path) => ![folder, ...mayImport].some((allowed) => isIn(path, allowed)))
        .map((path) => `${file} imports ${path}`)
    })
    assert.deepEqual(wrong, [])
  })

  it('no room imports from one behind it', () => {
    const wrong = ROOMS.flatMap(([folder, rooms]) =>
      files
        .filter((file) => isIn(file, folder))
        .flatMap((file) =>
          importsOf(file)
            .map((specifier) => target(file, specifier))
            .filter((path) => path !== undefined && isIn(path, folder))
            .filter((path) => place(rooms, folder, path!) > place(rooms, folder, file))
            .map((path) => `${file} imports ${path}`),
        ),
    )
    assert.deepEqual(wrong, [])
  })

  it('pure folders use no Node module', () => {
    const wrong = files
      .filter((file) => PURE.test(file))
      .flatMap((file) => importsOf(file).map((specifier) => `${file} imports ${specifier}`))
      .filter((line) => line.includes('imports node:'))
    assert.deepEqual(wrong, [])
  })
})
