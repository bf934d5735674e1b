import type { Image } from '#protocol/image/image-info.ts'
import { countOf } from '../components/format.ts'

/** What tables and cards say of an image. */

/** Undefined: nothing is known of it. */
export function systemOf({ info }: Image): string | undefined {
  const found = (info.partitions ?? []).flatMap(({ fileSystem }) => fileSystem ?? [])
  return info.operatingSystem ?? ([...new Set(found)].join(', ') || undefined)
}

/** `BIOS, UEFI`. */
export function bootModesOf({ info }: Image): string {
  return (info.bootModes ?? []).map((mode) => mode.toUpperCase()).join(', ')
}

/** `2 machines, 1 run`; of nobody, `nothing`. */
export function usersText(
  users: { machines: readonly unknown[]; runs: readonly unknown[]; links?: number },
  nobody = 'nothing',
): string {
  const counts = [
    [users.machines.length, 'machine'],
    [users.runs.length, 'run'],
    [users.links ?? 0, 'link'],
  ] as const
  const parts = counts.filter(([count]) => count > 0).map(([count, word]) => countOf(count, word))
  return parts.join(', ') || nobody
}
