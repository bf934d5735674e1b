import { ExecError } from '../../exec.ts'
import type { DeployedSystem } from '../deployed-system.ts'
import type { SystemFiles } from '../system-files.ts'

const FOLDER = '/etc/ssh'
const HOST_KEY = /^ssh_host_.*key(\.pub)?$/

/** Units of distributions that make missing host keys before sshd starts. */
const FIRST_BOOT_GENERATORS = [
  'sshd-keygen.target',
  'sshd-keygen.service',
  'sshd-keygen@.service',
  'sshdgenkeys.service',
  'ssh-keygen.service',
]
const UNIT_FOLDERS = ['/usr/lib/systemd/system', '/lib/systemd/system', '/etc/systemd/system']

/** New SSH host keys, made by the system's own ssh-keygen. */
export async function renewSshKeys(
  { files, run }: Pick<DeployedSystem, 'files' | 'run'>,
  warn: (text: string) => void,
): Promise<void> {
  const old = await hostKeys(files)
  const hasServer = (await files.kind(`${FOLDER}/sshd_config`)) === 'file'
  if (old.length === 0 && !hasServer) return
  for (const name of old) await files.remove(`${FOLDER}/${name}`)
  const failure = await generate(run)
  if ((await hostKeys(files)).length === 0 && !(await hasFirstBootGenerator(files)))
    warn(
      `The old SSH host keys were removed and no new ones made, so sshd may not start: ${failure ?? 'ssh-keygen made none'}`,
    )
  const elsewhere = await keysElsewhere(files)
  if (elsewhere.length > 0)
    warn(`SSH host keys that every clone of the image shares: ${elsewhere.join(', ')}`)
}

async function generate(run: DeployedSystem['run']): Promise<string | undefined> {
  try {
    if (await run('ssh-keygen', ['-A'])) return undefined
    return 'the image has no ssh-keygen that runs here'
  } catch (err) {
    if (err instanceof ExecError) return err.message
    throw err
  }
}

async function hostKeys(files: SystemFiles): Promise<string[]> {
  return (await files.list(FOLDER)).filter((name) => HOST_KEY.test(name))
}

async function hasFirstBootGenerator(files: SystemFiles): Promise<boolean> {
  for (const folder of UNIT_FOLDERS)
    for (const unit of FIRST_BOOT_GENERATORS)
      if ((await files.kind(`${folder}/${unit}`)) === 'file') return true
  return false
}

/** sshd_config(5), HostKey: keys that `ssh-keygen -A` does not know of. */
async function keysElsewhere(files: SystemFiles): Promise<string[]> {
  const config = (await files.read(`${FOLDER}/sshd_config`)) ?? ''
  const named = [...config.matchAll(/^\s*HostKey\s+"?([^\s"]+)/gim)].map((match) => match[1]!)
  const usual = (path: string) => HOST_KEY.test(path.replace(`${FOLDER}/`, ''))
  const others = named.filter((path) => path.startsWith('/') && !usual(path))
  const kinds = await Promise.all(others.map((path) => files.kind(path)))
  return others.filter((_, at) => kinds[at] === 'file')
}
