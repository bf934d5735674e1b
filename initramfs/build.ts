import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtempDisposable, readFile, rename } from 'node:fs/promises'
import { appendFile, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { AGENT_ENTRY, bundleAgent } from '../agent/build.ts'
import type { PackageFile } from './apt.ts'
import { packArchive } from './archive.ts'
import { type Base, prepareBase } from './base.ts'
import { cacheFolder } from './cache.ts'
import { fetchPackages } from './packages.ts'
import { formatMegabytes, report } from './report.ts'
import { buildOverlay } from './tree.ts'

const ROOT = resolve(import.meta.dirname, '..')
const OVERLAY_LEVEL = 12

/** `manifest.json`: what was built, and the key of what it was built from. */
export interface InitramfsManifest {
  key: string
  nodeVersion: string
  kernelVersion: string
  kernelBytes: number
  initrdBytes: number
  packages: Record<string, string>
  modules: string[]
  libraries: string[]
  firmware: string[]
}

export interface InitramfsOptions {
  /** Where `kernel`, `initrd` and `manifest.json` go. */
  outputFolder: string
  /** The program to bundle as the agent. */
  agentEntry: string
  firmware: boolean
  refresh: boolean
}

/**
 * Builds kernel and initramfs unless they are there for the same inputs. The initramfs is two
 * archives, which the kernel unpacks one after the other: the cached base, and our own files.
 */
export async function buildInitramfs(options: InitramfsOptions): Promise<InitramfsManifest> {
  const { outputFolder } = options
  const cache = cacheFolder()
  await mkdir(cache, { recursive: true })
  await mkdir(outputFolder, { recursive: true })
  const packages = await fetchPackages({ cacheFolder: cache, ...options })
  const base = await prepareBase(cache, packages)

  await using work = await mkdtempDisposable(join(outputFolder, 'build-'))
  const overlay = join(work.path, 'overlay')
  await bundleAgent(options.agentEntry, join(work.path, 'agent'))
  await buildOverlay(join(work.path, 'agent'), overlay)
  const overlayArchive = join(work.path, 'overlay.cpio.zst')
  await packArchive(overlay, overlayArchive, { level: OVERLAY_LEVEL })
  const key = await initramfsKey(base, overlayArchive)
  const present = await findManifest(outputFolder, key)
  if (present) {
    report(`Up to date: ${describe(present)}`)
    return present
  }

  report('Writing kernel and initramfs')
  const initrd = join(work.path, 'initrd')
  const kernel = join(work.path, 'kernel')
  await copyFile(base.kernelPath, kernel)
  await concatenate(base.archivePath, overlayArchive, initrd)
  const manifest = await createManifest(key, base, packages, { kernel, initrd })
  await writeFile(join(work.path, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
  for (const name of ['kernel', 'initrd', 'manifest.json']) {
    await rename(join(work.path, name), join(outputFolder, name))
  }
  report(`Done: ${describe(manifest)}`)
  return manifest
}

/** The kernel skips zeros between archives, and wants each to begin at a multiple of 4 bytes. */
async function concatenate(first: string, second: string, output: string): Promise<void> {
  await copyFile(first, output)
  const { size } = await stat(output)
  await appendFile(output, Buffer.alloc(-size & 3))
  await appendFile(output, await readFile(second))
}

async function initramfsKey(base: Base, overlayArchive: string): Promise<string> {
  const hash = createHash('sha256').update(base.key)
  return hash.update(await readFile(overlayArchive)).digest('hex')
}

async function createManifest(
  key: string,
  base: Base,
  packages: PackageFile[],
  files: { kernel: string; initrd: string },
): Promise<InitramfsManifest> {
  return {
    key,
    nodeVersion: process.version,
    kernelBytes: (await stat(files.kernel)).size,
    initrdBytes: (await stat(files.initrd)).size,
    packages: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
    ...base.contents,
  }
}

async function findManifest(folder: string, key: string): Promise<InitramfsManifest | undefined> {
  try {
    const text = await readFile(join(folder, 'manifest.json'), 'utf8')
    const manifest = JSON.parse(text) as InitramfsManifest
    const { size } = await stat(join(folder, 'initrd'))
    const whole = manifest.key === key && size === manifest.initrdBytes
    const kernelBytes = (await stat(join(folder, 'kernel'))).size
    return whole && kernelBytes === manifest.kernelBytes ? manifest : undefined
  } catch {
    return undefined // not built yet, or not to the end
  }
}

function describe({ kernelVersion, kernelBytes, initrdBytes }: InitramfsManifest): string {
  const sizes = `kernel ${formatMegabytes(kernelBytes)}, initramfs ${formatMegabytes(initrdBytes)}`
  return `Linux ${kernelVersion}, ${sizes}`
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(ROOT, 'build/initramfs') },
      agent: { type: 'string', default: AGENT_ENTRY },
      refresh: { type: 'boolean', default: false },
    },
  })
  try {
    await buildInitramfs({
      outputFolder: resolve(values.output),
      agentEntry: resolve(values.agent),
      firmware: process.env['STAMPEDE_FIRMWARE'] !== '0',
      refresh: values.refresh,
    })
  } catch (err) {
    report(`Failed: ${err instanceof Error ? err.message : String(err)}`)
    process.exitCode = 1
  }
}
