import type { Exec } from '../exec.ts'
import type { Candidate } from './root-choice.ts'

/** The candidates that hold a Windows; looked at without mounting. */
export async function findWindows(
  exec: Exec,
  candidates: readonly Candidate[],
): Promise<Candidate[]> {
  const found: Candidate[] = []
  for (const candidate of candidates)
    if (candidate.fileSystem === 'ntfs' && (await holdsWindows(exec, candidate.path)))
      found.push(candidate)
  return found
}

async function holdsWindows(exec: Exec, path: string): Promise<boolean> {
  try {
    // Without -f it says nothing of a volume that is not in order.
    const { stdout } = await exec('ntfsls', ['-f', '-p', '/Windows/System32', path])
    return /^ntoskrnl\.exe$/im.test(stdout)
  } catch {
    return false // it has no such folder
  }
}
