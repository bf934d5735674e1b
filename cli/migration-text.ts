import { formatBytes } from '#protocol/disk-choice.ts'
import type { StoreMigration } from '#protocol/store-migration.ts'
import { plural } from './text.ts'

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
        `${to} has all chunks that ${from} had: ${migration.copiedChunks} of ${migration.seenChunks} were copied, ` +
        `${formatBytes(migration.copiedBytes)}. To use it, stop the server, copy what came since with ` +
        `"npm run store -- migrate --from ${from} --to ${to}", and start it with STAMPEDE_STORE=${to}`
      )
  }
}
