import type { SystemFiles } from '../system-files.ts'

/**
 * Empty, not absent: machine-id(5) then makes a new one at the next boot without taking it for the
 * first boot ever, which would reset which units are enabled.
 */
export async function resetMachineId(files: SystemFiles): Promise<void> {
  const hasMachineId = (await files.kind('/etc/machine-id')) === 'file'
  if (hasMachineId) await files.write('/etc/machine-id', '')
  const dbus = '/var/lib/dbus/machine-id'
  const isOwnFile =
    (await files.linkTarget(dbus)) === undefined && (await files.kind(dbus)) === 'file'
  if (!isOwnFile) return
  // D-Bus calls an empty one invalid, and makes an absent one if it has no other.
  if (hasMachineId) await files.link(dbus, '/etc/machine-id')
  else await files.remove(dbus)
}
