import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { referenceTo } from '#protocol/image/image-reference.ts'
import type { LackingVersion, StoreMigration } from '#protocol/store-migration.ts'
import { plural, printable } from './text.ts'

export function progressText(migration: StoreMigration): string {
  const { progress, seenChunks, copiedChunks, copiedBytes, error } = migration
  if (error !== null) return `Tried again soon: ${error}`
  if (seenChunks === 0) return '0 %: begins'
  const copied = `${copiedChunks} of ${plural(seenChunks, 'chunk')} copied`
  return `${Math.floor(progress * 100)} %: ${copied}, ${formatBytes(copiedBytes)}`
}

export function migrationText(migration: StoreMigration): string {
  const { state, from, to } = migration
  switch (state) {
    case 'waiting':
    case 'working':
      return `From ${from} to ${to}, ${progressText(migration)}`
    case 'cancelled':
      return `The copy from ${from} to ${to} was given up; started again it goes on`
    case 'done':
      return (
        `${outcomeText(migration)}To use it, stop the server, copy what came since with ` +
        `"npm run store -- migrate --from ${from} --to ${to}", and start it with STAMPEDE_STORE=${to}`
      )
  }
}

function outcomeText(migration: StoreMigration): string {
  const { from, to, seenChunks, copiedChunks, copiedBytes } = migration
  const copied = `${copiedChunks} of ${plural(seenChunks, 'chunk')} were copied, ${formatBytes(copiedBytes)}`
  const problems = problemsOf(migration)
  if (problems.length === 0) return `${to} has all chunks that ${from} had: ${copied}. `
  return `${to} is not whole: ${problems.join('; ')}. Beside that ${copied}. `
}

/** What the other store lacks after a copy that is done, and what to do about it. */
export function problemsOf(migration: StoreMigration): string[] {
  const { from, damagedChunks, lostChunks, lacking } = migration
  const problems: string[] = []
  if (damagedChunks > 0)
    problems.push(
      `${plural(damagedChunks, 'chunk')} could not be copied, for they are damaged in ${from}; "stampede store scrub" names their images`,
    )
  if (lostChunks > 0)
    problems.push(
      `${plural(lostChunks, 'chunk')} that images need ${lostChunks === 1 ? 'is' : 'are'} in neither store (${lacking.map(versionText).join(', ')}); capture or upload what lacks them again, and start the same copy once more`,
    )
  return problems
}

function versionText(version: LackingVersion): string {
  return `${printable(referenceTo(version))} lacks ${plural(version.chunks, 'chunk')}`
}
