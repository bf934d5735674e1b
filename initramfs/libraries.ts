import { constants } from 'node:fs'
import { access, copyFile, mkdir, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { run } from './run.ts'

/** Where Debian's packages keep shared libraries, below the unpacked root. */
const LIBRARY_FOLDERS = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib64']
const LOADER = 'ld-linux-x86-64.so.2'

/** Sonames that a file needs, from `readelf -d`: `0x1 (NEEDED)  Shared library: [libc.so.6]`. */
export function parseNeeded(readelf: string): string[] {
  return [...readelf.matchAll(/\(NEEDED\)\s+Shared library: \[([^\]]+)\]/g)].map(([, so]) => so!)
}

/**
 * Copies the shared libraries that `programs` need, and those that these need in turn, from the
 * unpacked packages at `source` to the tree at `target`. Throws if no package brings one.
 */
export async function copyLibraries(
  programs: string[],
  source: string,
  target: string,
): Promise<string[]> {
  const folder = join(target, 'usr/lib/x86_64-linux-gnu')
  await mkdir(folder, { recursive: true })
  await mkdir(join(target, 'usr/lib64'), { recursive: true })
  await copyFile(await findLibrary(source, LOADER), join(target, 'usr/lib64', LOADER))
  const copied = new Set([LOADER])
  for (let files = programs; files.length > 0;) {
    const needed = await neededBy(files)
    const missing = needed.filter((soname) => !copied.has(soname))
    files = []
    for (const soname of missing) {
      const path = join(folder, basename(soname))
      await copyFile(await findLibrary(source, soname), path)
      copied.add(soname)
      files.push(path)
    }
  }
  return [...copied].sort()
}

async function neededBy(files: string[]): Promise<string[]> {
  // readelf complains about scripts, which need no libraries; its exit code then says so too.
  const elf = files.map((file) => run('readelf', ['-d', file]).catch(() => ''))
  return [...new Set((await Promise.all(elf)).flatMap(parseNeeded))]
}

async function findLibrary(source: string, soname: string): Promise<string> {
  for (const folder of LIBRARY_FOLDERS) {
    const path = join(source, folder, soname)
    try {
      await access(path, constants.R_OK)
      return await realpath(path)
    } catch {
      // not in this folder
    }
  }
  throw new Error(`No package brings the library "${soname}"; see initramfs/recipe.ts`)
}
