import { exec } from '#agent/exec.ts'

export interface Loop extends AsyncDisposable {
  path: string
}

export interface LoopOptions {
  readOnly?: boolean
  /** A part of the file, as the kernel shows a partition. */
  part?: { startBytes: number; sizeBytes: number }
}

/**
 * A file as a block device, with direct I/O as on a real disk: else the first contender would read
 * the file behind the device from the medium, and all others from memory.
 */
export async function openLoop(file: string, { readOnly, part }: LoopOptions = {}): Promise<Loop> {
  const options = ['--find', '--show', '--direct-io=on']
  if (readOnly) options.push('--read-only')
  if (part) options.push(`--offset=${part.startBytes}`, `--sizelimit=${part.sizeBytes}`)
  const { stdout } = await exec('losetup', [...options, file])
  const path = stdout.trim()
  return {
    path,
    async [Symbol.asyncDispose]() {
      await exec('losetup', ['--detach', path])
    },
  }
}
