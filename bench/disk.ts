import { copyFile, mkdir, mkdtempDisposable, open, readdir, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { exec } from '#agent/exec.ts'

/** Programs, libraries and documentation: what most of a freshly installed system consists of. */
const SOURCES = ['/usr/lib', '/usr/bin', '/usr/share', '/usr/sbin']
const MIB = 1024 * 1024
const PARTITION_START_BYTES = MIB
const FORMAT_SECONDS = 600

export interface BenchDisk {
  path: string
  sizeBytes: number
  /** Bytes of files in it. */
  contentBytes: number
  partition: { startBytes: number; sizeBytes: number }
}

/**
 * A disk as a small server has it: one partition with an ext4 that is mostly empty. The files are
 * the host's own, so the result differs from host to host; ratios within a run are what counts.
 */
export async function createBenchDisk(
  path: string,
  { sizeBytes, contentBytes }: { sizeBytes: number; contentBytes: number },
): Promise<BenchDisk> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-bench-tree-'))
  const copied = await copyTree(folder.path, contentBytes)
  const partitionBytes = sizeBytes - 2 * PARTITION_START_BYTES
  await using file = await open(path, 'w')
  await file.truncate(sizeBytes)
  await exec('sfdisk', ['--quiet', path], {
    input: `label: gpt\nstart=${PARTITION_START_BYTES / 512}, size=${partitionBytes / 512}\n`,
  })
  const place = `offset=${PARTITION_START_BYTES},lazy_itable_init=0,lazy_journal_init=0`
  await exec(
    'mkfs.ext4',
    ['-q', '-F', '-E', place, '-d', folder.path, path, `${partitionBytes / 1024}k`],
    { timeoutSeconds: FORMAT_SECONDS },
  )
  return {
    path,
    sizeBytes,
    contentBytes: copied,
    partition: { startBytes: PARTITION_START_BYTES, sizeBytes: partitionBytes },
  }
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

/** A sparse file of zeros, to be written to. */
export async function createBlank(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, 'w')
  await file.close()
  await truncate(path, sizeBytes)
}
