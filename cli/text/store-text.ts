import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { referenceTo } from '#protocol/image/image-reference.ts'
import type { StoreStatus } from '#protocol/store.ts'
import { migrationText } from './migration-text.ts'
import { ago, paint, plural, printable } from './text.ts'

/** What `stampede store` prints. */
export function storeText(store: StoreStatus): string {
  const rows: [label: string, text: string][] = [
    ['Store', printable(store.location)],
    ['Room', roomText(store)],
    ['Images', String(store.images)],
    ['Chunks', chunksText(store)],
    ...(store.unusedBytes === 0
      ? []
      : [['Unused', unusedText(store.unusedBytes)] as [string, string]]),
    ['Saved', `${formatBytes(store.savedBytes)} by what images share`],
    ['Damage', damageText(store)],
    ['Scrub', scrubText(store)],
    ['Recompression', recompressionText(store)],
    ['Swept', ago(store.sweptAt)],
    // Once it is in use, there is nothing left to say of it.
    ...(store.migration === null || store.migration.to === store.location
      ? []
      : [['Copy', printable(migrationText(store.migration))] as [string, string]]),
    ...(store.healFrom === null
      ? []
      : [['Heals from', printable(store.healFrom)] as [string, string]]),
  ]
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, text]) => `${label.padEnd(width)}  ${text}`).join('\n')
}

function roomText({ availableBytes, freeBytes, reserveBytes, quotaBytes }: StoreStatus): string {
  if (availableBytes === null) return 'no limit known'
  const limits = [
    freeBytes === null
      ? ''
      : `${formatBytes(freeBytes)} free, ${formatBytes(reserveBytes)} in reserve`,
    quotaBytes === null ? '' : `quota ${formatBytes(quotaBytes)}`,
  ].filter(Boolean)
  return `${formatBytes(availableBytes)} left (${limits.join('; ')})`
}

function chunksText({ chunks, storedBytes, contentBytes, codecs }: StoreStatus): string {
  const parts = (['zstd', 'gzip'] as const)
    .filter((codec) => codecs[codec].chunks > 0)
    .map((codec) => `${codecs[codec].chunks} ${codec} in ${formatBytes(codecs[codec].storedBytes)}`)
  const split = parts.length > 0 ? `: ${parts.join(', ')}` : ''
  return `${chunks} in ${formatBytes(storedBytes)} for ${formatBytes(contentBytes)} of content${split}`
}

function unusedText(bytes: number): string {
  return `${formatBytes(bytes)} part of no image: goes at the next sweep, unless a capture or upload goes on`
}

function damageText({ damaged, lostChunks }: StoreStatus): string {
  if (damaged.length === 0) return paint('green', 'none known')
  const images = damaged.map(
    (version) => `${printable(referenceTo(version))} (${plural(version.chunks, 'chunk')})`,
  )
  return paint('red', `${plural(lostChunks, 'chunk')} lost, of ${images.join(', ')}`)
}

function scrubText({ scrub, storedBytes }: StoreStatus): string {
  const { state, progress, last, nextAt, checkedBytes } = scrub
  const before = last
    ? `last ${ago(last.finishedAt)}: ${plural(last.checkedChunks, 'chunk')}, ${last.damagedChunks} damaged`
    : 'never finished yet'
  if (state === 'working')
    return `${Math.floor(progress * 100)} %, ${formatBytes(checkedBytes)} of ${formatBytes(storedBytes)}; ${before}`
  return `${before}; ${nextAt === null ? 'none is planned' : `next ${ago(nextAt)}`}`
}

function recompressionText({ recompression }: StoreStatus): string {
  const { state, progress, replacedChunks, savedBytes } = recompression
  const saved = `${plural(replacedChunks, 'chunk')} made smaller by ${formatBytes(savedBytes)} so far`
  switch (state) {
    case 'off':
      return `off; ${saved}`
    case 'waiting':
      return `waits until nothing else is to do, ${Math.floor(progress * 100)} % done; ${saved}`
    case 'working':
      return `${Math.floor(progress * 100)} % done; ${saved}`
    case 'done':
      return `done; ${saved}`
  }
}
