import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plugin } from 'vite'

/** For how long a page that was open during an update finds the code that it was built with. */
const KEPT_MILLISECONDS = 24 * 3600 * 1000

/**
 * Puts a finished build in the place of the one before, so that a server never serves half of one.
 * Must be the last plugin.
 */
export function swapBuild(folder: string): Plugin {
  let built = ''
  let failed = false
  return {
    name: 'swap-build',
    apply: 'build',
    enforce: 'post',
    configResolved: (config) => {
      built = join(config.root, config.build.outDir)
    },
    buildEnd: (error) => {
      failed = error !== undefined
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      handler: async () => {
        if (failed) return
        await keepOldAssets(folder, built)
        const old = `${built}-old`
        await rename(folder, old).catch(ignoreMissing)
        await rename(built, folder)
        await rm(old, { recursive: true, force: true })
      },
    },
  }
}

async function keepOldAssets(folder: string, built: string): Promise<void> {
  const names = await readdir(join(folder, 'assets')).catch(ignoreMissing)
  await mkdir(join(built, 'assets'), { recursive: true })
  for (const name of names ?? []) {
    const path = join(folder, 'assets', name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > KEPT_MILLISECONDS) continue
    // What is there under this name has the same content: its hash is in the name.
    await cp(path, join(built, 'assets', name), { force: false, preserveTimestamps: true })
  }
}

function ignoreMissing(err: unknown): undefined {
  if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
  throw err
}
