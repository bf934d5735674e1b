import { chooseDisk, describeDisk, formatBytes } from '../machine/disk-choice.ts'
import type { DiskHints } from '../machine/disk-hints.ts'
import type { Disk } from '../machine/inventory.ts'
import type { ExpectedTarget } from './plan.ts'

/** Holds a run to its plan: server and agent compare with these same functions. */

/** What a plan says of the disk that its run may touch. */
export function expectTarget(disk: Disk): ExpectedTarget {
  const { path, model, serial, wwn, sizeBytes, sectorBytes, fingerprint } = disk
  return {
    path,
    ...(model !== undefined && { model }),
    ...(serial !== undefined && { serial }),
    ...(wwn !== undefined && { wwn }),
    sizeBytes,
    sectorBytes,
    fingerprint,
  }
}

/**
 * How a disk differs from the one in the plan, a sentence without a full stop for each thing;
 * empty: it is that one, as it was. The path counts only where nothing else names a disk: the
 * kernel numbers disks in the order in which it finds them.
 */
export function targetDifferences(expected: ExpectedTarget, found: ExpectedTarget): string[] {
  const isNamed = expected.serial !== undefined || expected.wwn !== undefined
  const pairs: [name: string, found: string | undefined, expected: string | undefined][] = [
    ['model', quote(found.model), quote(expected.model)],
    ['serial', quote(found.serial), quote(expected.serial)],
    ['WWN', quote(found.wwn), quote(expected.wwn)],
    ['size', size(found.sizeBytes), size(expected.sizeBytes)],
    ['sector size', `${found.sectorBytes} bytes`, `${expected.sectorBytes} bytes`],
    ...(isNamed ? [] : [['path', found.path, expected.path] satisfies [string, string, string]]),
  ]
  const differences = pairs
    .filter(([, now, then]) => now !== then)
    .map(
      ([name, now, then]) =>
        `Disk ${name} is ${now ?? 'not told'} but the plan said ${then ?? 'none'}`,
    )
  if (expected.fingerprint !== undefined && found.fingerprint !== expected.fingerprint)
    differences.push(
      'What is on the disk (partitions, file systems, labels) is not what the plan said',
    )
  return differences
}

export type TargetCheck = { kind: 'same'; disk: Disk } | { kind: 'mismatch'; reason: string }

/**
 * The disk that a planned run works on: the one that its hints choose, and only if that is the one
 * in the plan. Disks that appeared or changed places since then stop it.
 */
export function checkTarget(
  expected: ExpectedTarget,
  disks: readonly Disk[],
  hints: DiskHints | undefined,
): TargetCheck {
  const choice = chooseDisk(disks, hints)
  if (choice.kind === 'refused') return { kind: 'mismatch', reason: choice.reason }
  const reason = targetMismatch(expected, choice.disk)
  if (reason === undefined) return { kind: 'same', disk: choice.disk }
  const moved = disks.find((disk) => disk !== choice.disk && isNamedSame(expected, disk))
  const place = moved ? `. The planned disk is now ${describeDisk(moved)}` : ''
  return { kind: 'mismatch', reason: `${reason}${place}` }
}

/** Why the run must not start on a machine with these disks, or undefined if it is as planned. */
export function findMismatch(...about: Parameters<typeof checkTarget>): string | undefined {
  const check = checkTarget(...about)
  return check.kind === 'mismatch' ? check.reason : undefined
}

/** Why this disk must not be touched, or undefined if it is the planned one. */
export function targetMismatch(
  expected: ExpectedTarget,
  found: ExpectedTarget,
): string | undefined {
  const differences = targetDifferences(expected, found)
  if (differences.length === 0) return undefined
  return (
    `Disk ${found.path} is not as planned, so nothing was written: ${differences.join('; ')}. ` +
    `Make a new plan and read it`
  )
}

function isNamedSame(expected: ExpectedTarget, disk: Disk): boolean {
  if (expected.wwn !== undefined && disk.wwn === expected.wwn) return true
  return expected.serial !== undefined && disk.serial === expected.serial
}

function quote(text: string | undefined): string | undefined {
  return text === undefined ? undefined : `"${text}"`
}

function size(bytes: number): string {
  return `${formatBytes(bytes)} (${bytes} bytes)`
}
