/**
 * Loaded before a program (`--import`): two libraries come as some files instead of 800, which is
 * most of the time in which a server starts. What they do is the same, and nothing of ours is
 * touched; without this all goes as ever, only slower. Run as a program, it makes the bundles.
 *
 * Plain JavaScript, so that it needs no compiling itself.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const LIBRARIES = /^(drizzle-orm|typebox)(\/|$)/
/** All that is imported of them, since of what is not here there would be two. */
const ENTRIES = [
  'drizzle-orm',
  'drizzle-orm/migrator',
  'drizzle-orm/node-postgres',
  'drizzle-orm/node-postgres/migrator',
  'drizzle-orm/pg-core',
  'drizzle-orm/pglite',
  'drizzle-orm/pglite/migrator',
  'typebox',
  'typebox/compile',
  'typebox/format',
  'typebox/schema',
  'typebox/value',
]

const ROOT = new URL('../../', import.meta.url)
const CACHE = new URL('node_modules/.cache/', ROOT)
/** Of these versions of the libraries, bundled in this way. */
const key = createHash('sha256')
  .update(readFileSync(new URL('package-lock.json', ROOT)))
  .update(readFileSync(new URL(import.meta.url)))
  .digest('hex')
  .slice(0, 16)
const folder = new URL(`test-libraries-${key}/`, CACHE)
const bundles = new Map(ENTRIES.map((name) => [name, new URL(`${outputName(name)}.mjs`, folder)]))

function outputName(entry) {
  return entry.replaceAll('/', '_')
}

function useBundles() {
  registerHooks({
    resolve(specifier, context, next) {
      // Whoever calls require() wants the other form of the library.
      if (!LIBRARIES.test(specifier) || context.conditions.includes('require'))
        return next(specifier, context)
      const bundle = bundles.get(specifier)
      if (!bundle) throw new Error(`Add "${specifier}" to ${import.meta.filename}`)
      return { url: bundle.href, format: 'module', shortCircuit: true }
    },
  })
}

async function makeBundles() {
  const { build } = await import('esbuild')
  await mkdir(CACHE, { recursive: true })
  const unfinished = await mkdtemp(new URL('test-libraries-', CACHE).pathname)
  await build({
    entryPoints: ENTRIES.map((name) => ({ in: name, out: outputName(name) })),
    outdir: unfinished,
    outExtension: { '.js': '.mjs' },
    absWorkingDir: ROOT.pathname,
    bundle: true,
    // What entries share stays one: a class of the one is the class of the other.
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['pg', '@electric-sql/pglite'],
    logLevel: 'warning',
  })
  // For programs of other users, too, as some tests start them.
  await chmod(unfinished, 0o755)
  // Complete or not there at all; another process may have been faster, and its bundles are as good.
  await rename(unfinished, folder).catch(() => rm(unfinished, { recursive: true }))
}

if (process.argv[1] === import.meta.filename) {
  if (!existsSync(folder)) await makeBundles()
} else if (isMainThread && existsSync(folder)) useBundles()
