import { readFile, readdir, readlink } from 'node:fs/promises'

/** An attribute that a device doesn't have, or doesn't tell, is no fault. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'EIO', 'EACCES', 'EPERM', 'ENODEV', 'ENXIO'])

async function unlessAbsent<Result>(read: Promise<Result>): Promise<Result | undefined> {
  try {
    return await read
  } catch (err) {
    if (ABSENT.has((err as NodeJS.ErrnoException).code ?? '')) return undefined
    throw err
  }
}

/** The text of an attribute, trimmed; undefined if there is none or it is empty. */
export async function readText(path: string): Promise<string | undefined> {
  const text = await unlessAbsent(readFile(path, 'utf8'))
  // Old disks pad their names with NULs.
  return text?.replaceAll('\0', '').trim() || undefined
}

export async function readBytes(path: string): Promise<Buffer | undefined> {
  return await unlessAbsent(readFile(path))
}

export async function readNumber(path: string): Promise<number | undefined> {
  const text = await readText(path)
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined
}

export async function readFlag(path: string): Promise<boolean> {
  return (await readText(path)) === '1'
}

export async function readNames(path: string): Promise<string[]> {
  return ((await unlessAbsent(readdir(path))) ?? []).toSorted()
}

export async function readTarget(path: string): Promise<string | undefined> {
  return await unlessAbsent(readlink(path))
}
