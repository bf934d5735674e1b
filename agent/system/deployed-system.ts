import { join } from 'node:path'
import { flushDevice } from '../grow/partition-table.ts'
import { exec as plainExec, type ExecResult } from '../exec.ts'
import { runInSystem } from './chroot.ts'
import type { SystemContext } from './context.ts'
import { planMounts } from './fstab.ts'
import { openMount } from './mount.ts'
import { relabel } from './relabel.ts'
import { createSystemFiles, type SystemFiles } from './system-files.ts'
import { openTarget } from './target.ts'

/** The system on the target disk, mounted for writing. */
export interface DeployedSystem extends AsyncDisposable {
  readonly files: SystemFiles
  /** Runs a program of the system in its own root; undefined if it has none that runs here. */
  run(program: string, args: readonly string[]): Promise<ExecResult | undefined>
}

/** Undefined, after a warning, where the root can't be told for sure. */
export async function openDeployedSystem(
  context: SystemContext,
): Promise<DeployedSystem | undefined> {
  const { exec, disk, warn } = context
  await using opened = new AsyncDisposableStack()
  opened.defer(() => flushDevice(disk.path))
  const { choice, candidates } = opened.use(await openTarget(context))
  if (choice.kind === 'unclear') {
    warn(`The deployed system was not changed: ${choice.reason}`)
    return undefined
  }
  const { path: device, fileSystem, subvolume } = choice.root
  const options = subvolume ? [subvolume] : []
  const mount = opened.use(await openMount(exec, { device, fileSystem, mode: 'rw', options }))
  const files = recordWrites(createSystemFiles(mount.path))

  const { mounts, missing } = planMounts((await files.read('/etc/fstab')) ?? '', candidates)
  if (missing.length > 0) warn(`Not on the target disk and left alone: ${missing.join(', ')}`)
  for (const { candidate, folder, options: own } of mounts) {
    const at = join(mount.path, folder)
    if ((await files.kind(folder)) !== 'folder' || (await files.resolve(folder)) !== at) continue
    const { path, fileSystem: type } = candidate
    opened.use(
      await openMount(exec, { device: path, fileSystem: type, mode: 'rw', options: own, at }),
    )
  }

  const run: DeployedSystem['run'] = (program, args) =>
    runInSystem(exec, { files, devices: [device], program, args })
  // Before all is unmounted, and even if the run is cancelled meanwhile.
  opened.defer(() => relabel(plainExec, files, files.written))
  const resources = opened.move()
  return { files, run, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

type RecordingFiles = SystemFiles & { written: Set<string> }

/** New files have no SELinux label: relabel must know of them. */
function recordWrites(files: SystemFiles): RecordingFiles {
  const written = new Set<string>()
  return {
    ...files,
    written,
    async write(path, content, mode) {
      if ((await files.kind(path)) === undefined) written.add(path)
      await files.write(path, content, mode)
    },
    async link(path, target) {
      written.add(path)
      await files.link(path, target)
    },
  }
}
