import { execFileSync } from 'node:child_process'
import { rmSync, statfsSync, statSync } from 'node:fs'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'

const MOST_TRIES = 50

/** A file system of its own, in memory, which can be full. Needs root. */
export interface SmallDisk extends AsyncDisposable {
  path: string
  /** Takes all room but so many bytes, before anything else can happen here; again, too. */
  fill(leftBytes?: number): void
  /** At once, too. */
  makeRoom(): void
}

export async function openSmallDisk(mebibytes: number): Promise<SmallDisk> {
  await using opened = new AsyncDisposableStack()
  const path = opened.adopt(await mkdtemp(join(tmpdir(), 'stampede-disk-')), rmdir)
  await exec('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}M`, 'stampede-test', path])
  opened.defer(async () => void (await exec('umount', ['--lazy', path])))
  const filler = join(path, 'filler')
  const resources = opened.move()
  return {
    path,
    fill(leftBytes = 0) {
      for (let tries = 1; ; tries++) {
        const { bavail, bsize } = statfsSync(path)
        const bytes = bavail * bsize - leftBytes
        if (bytes <= 0) return
        const fillerBytes = statSync(filler, { throwIfNoEntry: false })?.size ?? 0
        const offset = Math.ceil(fillerBytes / bsize) * bsize
        const range = ['--offset', String(offset), '--length', String(bytes)]
        try {
          execFileSync('fallocate', [...range, filler], { stdio: 'pipe' })
        } catch (err) {
          // Another program took some of it meanwhile.
          if (tries === MOST_TRIES) throw err
        }
      }
    },
    makeRoom: () => rmSync(filler),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
