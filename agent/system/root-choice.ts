import type { ImageInfo } from '#protocol/image/image-info.ts'

/** A partition, volume or whole disk with a file system that a root may be on. */
export type Candidate = {
  path: string
  fileSystem: string
  uuid?: string
  label?: string
  partUuid?: string
  /** Absent on a disk without a partition table. */
  partition?: number
  /** The logical volume that it is. */
  volume?: { group: string; name: string; segmentType: string }
}

/** A candidate with the files of a root in it. */
export type Root = Candidate & {
  /** btrfs: mount option that leads to it, such as `subvol=@`; absent: the default subvolume. */
  subvolume?: string
}

export type RootChoice =
  | { kind: 'found'; root: Root }
  /** `isNone`: there is no Linux, not even an encrypted one. */
  | { kind: 'unclear'; reason: string; isNone?: boolean }

type RootHints = Pick<ImageInfo, 'rootPartition' | 'rootVolume'>

/** Which root is meant; two without a hint are never told apart by guessing. */
export function chooseRoot(roots: readonly Root[], hints: RootHints = {}): RootChoice {
  const hinted = roots.filter((root) => isHinted(root, hints))
  if (hinted.length === 1) return { kind: 'found', root: hinted[0]! }
  if (roots.length === 1) return { kind: 'found', root: roots[0]! }
  if (roots.length === 0)
    return {
      kind: 'unclear',
      reason: 'No root file system of a Linux was found on the disk',
      isNone: true,
    }
  const paths = roots.map((root) => nameOf(root)).join(' and ')
  return { kind: 'unclear', reason: `${roots.length} root file systems were found: ${paths}` }
}

function isHinted(root: Root, { rootPartition, rootVolume }: RootHints): boolean {
  if (root.volume) return rootVolume === `/dev/${root.volume.group}/${root.volume.name}`
  return rootVolume === undefined && root.partition === rootPartition
}

/** For people: `/dev/sda2`, `volume vg/root`. */
export function nameOf({ path, volume, subvolume }: Root): string {
  const place = volume ? `volume ${volume.group}/${volume.name}` : path
  return subvolume ? `${place} (${subvolume})` : place
}
