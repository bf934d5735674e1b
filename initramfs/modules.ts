import { cp, mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { run } from './run.ts'

/** Module files by module name, each with those it depends on, as depmod wrote them. */
export type ModuleDependencies = Map<string, string[]>

/** Names are compared with underscores: a file may be called `nls_iso8859-1.ko`, its module not. */
export function moduleName(path: string): string {
  return basename(path).replace(/\.ko$/, '').replaceAll('-', '_')
}

/** Reads `modules.dep`: `kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/…`. */
export function parseModulesDep(text: string): ModuleDependencies {
  const lines = text.split('\n').filter((line) => line.includes(':'))
  return new Map(
    lines.map((line) => {
      const [path = '', dependencies = ''] = line.split(':')
      return [moduleName(path), [path, ...dependencies.split(' ').filter(Boolean)]]
    }),
  )
}

/**
 * The files of `names` and of all they depend on (modules.dep lists indirect dependencies too).
 * Throws when a name is neither a module nor built in, which is a spelling error in the recipe.
 */
export function selectModules(
  names: string[],
  dependencies: ModuleDependencies,
  builtin: Set<string>,
): string[] {
  const wanted = names.map((name) => name.replaceAll('-', '_'))
  const unknown = wanted.filter((name) => !dependencies.has(name) && !builtin.has(name))
  if (unknown.length > 0) {
    throw new Error(`The kernel has no module ${unknown.join(', ')}; correct initramfs/recipe.ts`)
  }
  return [...new Set(wanted.flatMap((name) => dependencies.get(name) ?? []))].sort()
}

/** Copies the modules from the unpacked kernel package at `source` into the tree at `target`. */
export async function copyModules(
  source: string,
  target: string,
  kernelVersion: string,
  names: string[],
): Promise<string[]> {
  const from = join(source, 'lib/modules', kernelVersion)
  const to = join(target, 'lib/modules', kernelVersion)
  await run('depmod', ['-b', source, kernelVersion])
  const builtinText = await readFile(join(from, 'modules.builtin'), 'utf8')
  const files = selectModules(
    names,
    parseModulesDep(await readFile(join(from, 'modules.dep'), 'utf8')),
    new Set(builtinText.split('\n').filter(Boolean).map(moduleName)),
  )
  for (const file of [...files, 'modules.builtin', 'modules.builtin.modinfo', 'modules.order']) {
    await mkdir(dirname(join(to, file)), { recursive: true })
    await cp(join(from, file), join(to, file))
  }
  await run('depmod', ['-b', target, kernelVersion])
  return files
}
