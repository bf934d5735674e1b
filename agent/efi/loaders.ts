import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What a freshly installed firmware looks for on a disk, by `uname -m` (UEFI 2.10, section 3.5.1.1). */
const FALLBACK_NAMES: Record<string, string> = {
  x86_64: 'bootx64.efi',
  aarch64: 'bootaa64.efi',
}

/** Boot loaders as operating systems call them, the first that is there counts: shim starts GRUB. */
const LOADER_NAMES: Record<string, readonly string[]> = {
  x86_64: ['shimx64.efi', 'grubx64.efi', 'systemd-bootx64.efi', 'refind_x64.efi', 'bootmgfw.efi'],
  aarch64: ['shimaa64.efi', 'grubaa64.efi', 'systemd-bootaa64.efi', 'bootmgfw.efi'],
}

/** `\EFI\Microsoft\Boot\bootmgfw.efi` is the deepest that is known. */
const MAX_DEPTH = 3

/** The files in the folder EFI of an ESP mounted at `root`, as firmware writes paths: `\EFI\BOOT\BOOTX64.EFI`. */
export async function listEfiFiles(root: string): Promise<string[]> {
  const names = await readdir(root)
  // FAT keeps the case of names and ignores it.
  const folder = names.find((name) => name.toLowerCase() === 'efi')
  return folder === undefined ? [] : await listFolder(root, [folder])
}

async function listFolder(root: string, path: string[]): Promise<string[]> {
  const entries = await readdir(join(root, ...path), { withFileTypes: true })
  const lists = entries.map(async (entry) => {
    const inner = [...path, entry.name]
    if (entry.isFile()) return [`\\${inner.join('\\')}`]
    return entry.isDirectory() && path.length < MAX_DEPTH ? await listFolder(root, inner) : []
  })
  return (await Promise.all(lists)).flat().toSorted()
}

/** The loader at the path that needs no boot entry, if it is there. */
export function findFallback(files: readonly string[], architecture: string): string | undefined {
  const path = `\\efi\\boot\\${FALLBACK_NAMES[architecture]}`
  return files.find((file) => file.toLowerCase() === path)
}

/** The loader that a boot entry should start. */
export function findLoader(files: readonly string[], architecture: string): string | undefined {
  for (const name of LOADER_NAMES[architecture] ?? []) {
    const found = files.find((file) => file.toLowerCase().endsWith(`\\${name}`))
    if (found !== undefined) return found
  }
  return undefined
}
