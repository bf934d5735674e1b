import { access, cp, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from './run.ts'

/** Firmware files named by the modules (`modinfo -F firmware`), as far as the packages bring them. */
export async function copyFirmware(
  packages: string,
  target: string,
  kernelVersion: string,
  modules: string[],
): Promise<string[]> {
  const folder = join(packages, 'lib/firmware')
  const there = await access(folder).then(
    () => true,
    () => false,
  )
  if (!there) return []
  const paths = modules.map((path) => join(packages, 'lib/modules', kernelVersion, path))
  const names = new Set((await run('modinfo', ['-F', 'firmware', ...paths])).split('\n'))
  const copied: string[] = []
  for (const name of [...names].filter(Boolean).sort()) {
    const to = join(target, 'lib/firmware', name)
    await mkdir(dirname(to), { recursive: true })
    // A module names firmware of every revision of its hardware; the packages hold most of it.
    const done = await cp(join(folder, name), to, { dereference: true }).then(
      () => true,
      () => false,
    )
    if (done) copied.push(name)
  }
  return copied
}
