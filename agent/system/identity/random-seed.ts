import { randomBytes } from 'node:crypto'
import type { SystemFiles } from '../system-files.ts'

const SEEDS = [
  '/var/lib/systemd/random-seed',
  '/var/lib/urandom/random-seed',
  '/var/lib/misc/random-seed',
  '/var/lib/random-seed',
]
const SEED_BYTES = 512

/** Two clones that start from one seed would draw the same keys. */
export async function renewRandomSeeds(files: SystemFiles): Promise<void> {
  for (const path of SEEDS)
    if ((await files.kind(path)) === 'file') await files.write(path, randomBytes(SEED_BYTES))
}
