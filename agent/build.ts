import { cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { build } from 'esbuild'

const ROOT = resolve(import.meta.dirname, '..')
export const AGENT_ENTRY = join(ROOT, 'agent/main.ts')
export const AGENT_FOLDER = join(ROOT, 'build/agent')

/**
 * koffi loads a native library from a path next to itself, which a bundle would break: it stays a
 * package, reduced to what runs on Linux x86-64 with glibc.
 */
const KOFFI_FILES = [
  'koffi/package.json',
  'koffi/index.js',
  'koffi/src/koffi/index.js',
  'koffi/src/koffi/src/static.js',
  '@koromix/koffi-linux-x64/package.json',
  '@koromix/koffi-linux-x64/index.js',
  '@koromix/koffi-linux-x64/linux_x64/koffi.node',
]

/** Some CommonJS dependencies call `require`, which an ES module does not have. */
const REQUIRE_BANNER =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);"

/** Bundles `entry` into `folder`: agent.mjs and what it loads at run time. Runs on any Linux. */
export async function bundleAgent(entry = AGENT_ENTRY, folder = AGENT_FOLDER): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await build({
    entryPoints: [entry],
    outfile: join(folder, 'agent.mjs'),
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['koffi'],
    banner: { js: REQUIRE_BANNER },
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'warning',
  })
  for (const file of KOFFI_FILES) {
    const target = join(folder, 'node_modules', file)
    await mkdir(dirname(target), { recursive: true })
    await cp(join(ROOT, 'node_modules', file), target)
  }
}

if (import.meta.main) await bundleAgent()
