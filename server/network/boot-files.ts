import { randomUUID } from 'node:crypto'
import { copyFile, link, lstat, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAutoexecScript } from '../boot/script.ts'
import type { VirtualFile, VirtualFiles } from '../tftp/virtual-file.ts'

/** Where Debian's package `ipxe` has its builds. */
const IPXE_PACKAGE_FOLDER = '/usr/lib/ipxe'
const PACKAGED_FILES = ['undionly.kpxe', 'snponly.efi', 'ipxe.efi']

/** iPXE for UEFI asks for this name by itself. */
export const AUTOEXEC_NAME = 'autoexec.ipxe'

export interface BootFiles {
  readonly folder: string
  /** What TFTP and HTTP serve now: each file of the folder, and `autoexec.ipxe`. */
  files(): Promise<VirtualFiles>
  /** Names that firmware can be told to load. */
  names(): Promise<Set<string>>
}

export interface BootFilesOptions {
  /** In the data folder. */
  folder: string
  /** How machines reach us. */
  url: string
  packageFolder?: string
}

export class NoBootFilesError extends Error {
  override name = 'NoBootFilesError'
}

/**
 * Makes the folder of boot files and copies into it what it lacks of Debian's iPXE. A file that is
 * there stays as it is, whoever put it there: so another build is dropped in under the same name, and
 * deleting a file brings the packaged one back at the next start.
 *
 * Throws NoBootFilesError if there is nothing to boot from then, or the folder cannot be given what it lacks.
 */
export async function openBootFiles(options: BootFilesOptions): Promise<BootFiles> {
  const { folder, url, packageFolder = IPXE_PACKAGE_FOLDER } = options
  try {
    await mkdir(folder, { recursive: true })
    for (const name of PACKAGED_FILES) await copyIfAbsent(join(packageFolder, name), folder, name)
  } catch (cause) {
    throw new NoBootFilesError(
      `The folder of boot files "${folder}" lacks some of Debian's package "ipxe", and cannot be given them (${String(cause)}); let the user of the server write there, or put ${PACKAGED_FILES.join(', ')} there yourself`,
      { cause },
    )
  }
  const autoexec = { bytes: Buffer.from(writeAutoexecScript(url)) }

  async function files(): Promise<VirtualFiles> {
    const found = new Map<string, VirtualFile>([[AUTOEXEC_NAME, autoexec]])
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      const isFile = await stat(path).then((stats) => stats.isFile(), isGone)
      if (isFile && !name.startsWith('.')) found.set(name, { path })
    }
    return found
  }

  async function names(): Promise<Set<string>> {
    const found = new Set((await files()).keys())
    found.delete(AUTOEXEC_NAME)
    return found
  }

  if ((await names()).size === 0) {
    throw new NoBootFilesError(
      `There is no iPXE to send to machines; install the package "ipxe" (apt install ipxe), or put undionly.kpxe (BIOS) and snponly.efi (UEFI) into "${folder}"`,
    )
  }
  return { folder, files, names }
}

/** Whole or not at all, and never over a file that is there. */
async function copyIfAbsent(source: string, folder: string, name: string): Promise<void> {
  const path = join(folder, name)
  // A disk that is full by now has no room for a copy in vain. A link to nothing counts as there.
  if (await lstat(path).then(() => true, isGone)) return
  const temporary = join(folder, `.${name}.${randomUUID()}`)
  try {
    await copyFile(source, temporary)
    await link(temporary, path)
  } catch (err) {
    if (!isMissing(err) && !isCode(err, 'EEXIST')) throw err
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Deleted since the folder was read, or a link to nothing. */
function isGone(err: unknown): false {
  if (isMissing(err)) return false
  throw err
}

function isMissing(err: unknown): boolean {
  return isCode(err, 'ENOENT')
}

function isCode(err: unknown, code: string): boolean {
  return err instanceof Error && 'code' in err && err.code === code
}
