import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec as plainExec, type Exec } from '../exec.ts'

const UNMOUNT_TRIES = 20
const UNMOUNT_PAUSE_MILLISECONDS = 250
const MOUNT_TIMEOUT_SECONDS = 300 // a journal may have to be replayed

/** Read-only alone would replay a journal. */
const NO_REPLAY: Record<string, readonly string[]> = {
  ext3: ['noload'],
  ext4: ['noload'],
  xfs: ['norecovery'],
  btrfs: ['rescue=nologreplay'],
}

export interface Mount extends AsyncDisposable {
  readonly path: string
}

export type MountRequest = {
  device: string
  fileSystem: string
  /** `look`: read-only, and no journal is replayed, so that not a byte is written. */
  mode: 'ro' | 'rw' | 'look'
  /** Such as `subvol=@`. */
  options?: readonly string[]
  /** Where to mount; a temporary folder unless told. */
  at?: string
}

/**
 * Mounts a file system by its device's path, which is the only name that an older clone on another
 * disk cannot share. Device nodes in it stay dead: an image may hold some that lead to other disks.
 */
export async function openMount(exec: Exec, request: MountRequest): Promise<Mount> {
  const { device, fileSystem, mode, at } = request
  await using opened = new AsyncDisposableStack()
  const path = at ?? (await mkdtemp(join(tmpdir(), 'stampede-mount-')))
  if (at === undefined) opened.defer(() => rmdir(path))

  if (fileSystem.startsWith('ext')) await refuseExternalJournal(exec, device)
  // The kernel remembers btrfs devices by their UUID and would take a clone seen earlier for ours.
  if (fileSystem === 'btrfs')
    await exec('btrfs', ['device', 'scan', '--forget'], { allowExitCodes: [1] })
  const own = fileSystem === 'xfs' ? ['nouuid'] : []
  if (mode === 'look') own.push(...(NO_REPLAY[fileSystem] ?? []))
  const options = [
    mode === 'rw' ? 'rw' : 'ro',
    'nodev',
    'nosuid',
    ...own,
    ...(request.options ?? []),
  ].join(',')
  const timeoutSeconds = MOUNT_TIMEOUT_SECONDS
  // Not bound to the run's signal: nobody would let go of what is mounted in the moment of the cancel.
  await plainExec('mount', ['-t', fileSystem, '-o', options, '--', device, path], {
    timeoutSeconds,
  })
  opened.defer(() => unmount(path))

  const resources = opened.move()
  return { path, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/**
 * The kernel and e2fsck look for an external journal by its UUID on all disks, and would replay and
 * write one that belongs to an older clone.
 */
async function refuseExternalJournal(exec: Exec, device: string): Promise<void> {
  const { stdout } = await exec('blkid', ['-p', '-o', 'export', '--', device])
  const journal = /^EXT_JOURNAL=(.+)$/m.exec(stdout)?.[1]
  if (journal !== undefined)
    throw new Error(
      `The file system on ${device} keeps its journal ${journal} on another device, ` +
        `which may be another disk's; give it an internal journal before the capture (tune2fs -j)`,
    )
}

/** Not bound to the run's signal: a cancelled run must let go of the disk, too. */
async function unmount(path: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await plainExec('umount', [path], { timeoutSeconds: MOUNT_TIMEOUT_SECONDS })
      return
    } catch (err) {
      if (tries === UNMOUNT_TRIES) throw err
      await sleep(UNMOUNT_PAUSE_MILLISECONDS) // a program that has just ended may still hold it
    }
  }
}
