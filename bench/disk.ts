import { randomFillSync } from 'node:crypto'
import {
  copyFile,
  mkdir,
  mkdtempDisposable,
  open,
  readdir,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openLoop } from './loop.ts'

/** Programs, libraries and documentation: what most of a freshly installed system consists of. */
const SOURCES = ['/usr/lib', '/usr/bin', '/usr/share', '/usr/sbin']
const MIB = 1024 * 1024
const PARTITION_START_BYTES = MIB
const FORMAT_SECONDS = 600
/** Where a Debian keeps the packages that it fetched, until `apt-get clean`. */
const GARBAGE_FOLDER = 'var/cache/apt/archives'
/** Packages are mostly small: of these lengths in turn. */
const GARBAGE_FILE_BYTES = [64, 1500, 250, 4000, 20, 700].map((kib) => kib * 1024)

export interface BenchDisk {
  path: string
  sizeBytes: number
  /** Bytes of files in it. */
  contentBytes: number
  partition: { startBytes: number; sizeBytes: number }
}

export interface DiskRecipe {
  sizeBytes: number
  contentBytes: number
  /** Of files that were there and are no more. */
  garbageBytes: number
}

/**
 * A disk as a small server has it: one partition with an ext4 that is mostly empty, and in its free
 * space what is left of packages that were fetched, installed and deleted. The files are
 * the host's own, so the result differs from host to host; ratios within a run are what counts.
 */
export async function createBenchDisk(path: string, recipe: DiskRecipe): Promise<BenchDisk> {
  const { sizeBytes } = recipe
  await using tree = await mkdtempDisposable(join(dirname(path), 'tree-'))
  const copied = await copyTree(tree.path, recipe.contentBytes)
  const garbage = await writeGarbage(tree.path, recipe.garbageBytes)
  const partition = {
    startBytes: PARTITION_START_BYTES,
    sizeBytes: sizeBytes - 2 * PARTITION_START_BYTES,
  }
  await createBlank(path, sizeBytes)
  await partitionDisk(path, partition)
  await using loop = await openLoop(path, { part: partition })
  const lazy = 'lazy_itable_init=0,lazy_journal_init=0'
  await exec('mkfs.ext4', ['-q', '-E', lazy, '-d', tree.path, loop.path], {
    timeoutSeconds: FORMAT_SECONDS,
  })
  await deleteFiles(loop.path, garbage)
  await exec('e2fsck', ['-fn', loop.path], { timeoutSeconds: FORMAT_SECONDS })
  return { path, sizeBytes, contentBytes: copied, partition }
}

export async function partitionDisk(
  path: string,
  { startBytes, sizeBytes }: BenchDisk['partition'],
): Promise<void> {
  const input = `label: gpt\nstart=${startBytes / 512}, size=${sizeBytes / 512}\n`
  await exec('sfdisk', ['--quiet', path], { input })
}

async function copyTree(target: string, wantedBytes: number): Promise<number> {
  let copied = 0
  for (const source of SOURCES) {
    for await (const file of walk(source)) {
      if (copied >= wantedBytes) return copied
      const { size } = await stat(file)
      const copy = join(target, relative('/usr', file))
      await mkdir(dirname(copy), { recursive: true })
      await copyFile(file, copy)
      copied += size
    }
  }
  return copied
}

async function* walk(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(path)
    else if (entry.isFile()) yield path
  }
}

/** Packages are compressed: their bytes are as good as random. */
async function writeGarbage(tree: string, wantedBytes: number): Promise<string[]> {
  await mkdir(join(tree, GARBAGE_FOLDER), { recursive: true })
  const names: string[] = []
  for (let written = 0; written < wantedBytes;) {
    const bytes = Buffer.alloc(GARBAGE_FILE_BYTES[names.length % GARBAGE_FILE_BYTES.length]!)
    const name = `${GARBAGE_FOLDER}/package-${names.length}.deb`
    await writeFile(join(tree, name), randomFillSync(bytes))
    names.push(`/${name}`)
    written += bytes.length
  }
  return names
}

/** As the kernel deletes: the blocks are free and keep their bytes. */
async function deleteFiles(device: string, names: readonly string[]): Promise<void> {
  const input = names.map((name) => `rm ${name}\n`).join('')
  const { stderr } = await exec('debugfs', ['-w', '-f', '-', device], {
    input,
    timeoutSeconds: FORMAT_SECONDS,
  })
  const fault = stderr.split('\n').find((line) => line !== '' && !line.startsWith('debugfs '))
  if (fault !== undefined) throw new Error(`debugfs could not delete: ${fault}`)
}

/** A sparse file of zeros, to be written to. */
export async function createBlank(path: string, sizeBytes: number): Promise<void> {
  await rm(path, { force: true })
  await using file = await open(path, 'wx')
  await file.close()
  await truncate(path, sizeBytes)
}
