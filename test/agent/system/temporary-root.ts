import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecResult } from '#agent/exec.ts'
import { createSystemFiles, type SystemFiles } from '#agent/system/system-files.ts'
import { writeTinySystem } from './tiny-system.ts'

/** A folder that looks like the root of an installed system. */
export interface TemporaryRoot extends AsyncDisposable {
  readonly path: string
  readonly files: SystemFiles
  /** For a system that has no program that runs here. */
  run(program: string, args: readonly string[]): Promise<ExecResult | undefined>
}

export async function openTemporaryRoot(
  content: Record<string, string> = {},
): Promise<TemporaryRoot> {
  const path = await mkdtemp(join(tmpdir(), 'stampede-root-'))
  await writeTinySystem(path, content)
  return {
    path,
    files: createSystemFiles(path),
    run: () => Promise.resolve(undefined),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  }
}
