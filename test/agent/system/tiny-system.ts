import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { exec } from '#agent/exec.ts'

/** Files that make a folder look like the root of an installed Linux. */
export async function writeTinySystem(
  root: string,
  files: Record<string, string> = {},
): Promise<void> {
  for (const folder of ['dev', 'proc', 'sys', 'run', 'tmp', 'usr/sbin', 'usr/lib', 'var/lib'])
    await mkdir(join(root, folder), { recursive: true })
  const release = { '/etc/os-release': 'ID=tiny\nPRETTY_NAME="Tiny Linux"\n' }
  for (const [path, text] of Object.entries({ ...release, ...files })) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

/** Copies a program of this host, with the libraries that it needs, into the root. */
export async function installProgram(root: string, name: string): Promise<void> {
  const which = await exec('sh', ['-c', 'command -v "$0"', name])
  const program = which.stdout.trim()
  const dependencies = await exec('ldd', [program], { allowExitCodes: [1] }) // 1: it is static
  const libraries = dependencies.stdout.match(/\/\S+(?= \()/g) ?? []
  for (const path of libraries) await copyInto(root, path, path)
  await copyInto(root, program, `/usr/sbin/${name}`)
}

async function copyInto(root: string, from: string, to: string): Promise<void> {
  const place = join(root, to)
  await mkdir(dirname(place), { recursive: true })
  await copyFile(from, place)
  await chmod(place, 0o755)
}
