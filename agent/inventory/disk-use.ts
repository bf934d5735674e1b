/** What the running system uses of its disks, as /proc tells. */
export interface SystemUse {
  mounts: { device: string; source: string; target: string }[]
  swaps: string[]
  /** Loop devices that lead to another device, by its number: the kernel lets everyone else write there. */
  loops: { path: string; device: string }[]
}

/** proc_pid_mountinfo(5): id, parent, major:minor, root, target, options, tags… - type, source. */
export function parseMounts(mountinfo: string): SystemUse['mounts'] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ')
    const [, , device, , target] = before?.split(' ') ?? []
    const source = after?.split(' ')[1]
    if (device === undefined || target === undefined || source === undefined) return []
    return [{ device, source: unescape(source), target: unescape(target) }]
  })
}

/** proc_swaps(5): a line of headings, then the file first on each line. */
export function parseSwaps(swaps: string): string[] {
  return swaps
    .split('\n')
    .slice(1)
    .flatMap((line) => line.split(/\s/)[0] || [])
    .map(unescape)
}

/** Blanks and the like are `\040`. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

/** The whole disk or one of its partitions. */
export interface DiskNode {
  path: string
  /** `8:1` */
  device: string
  /** Device-mapper, MD and bcache devices built on it. */
  holders: readonly string[]
}

/** Why a disk is in use, in words that follow "is in use:", or undefined. */
export function findUse(nodes: readonly DiskNode[], use: SystemUse): string | undefined {
  for (const { path, device, holders } of nodes) {
    // Btrfs mounts have a device number of their own; their source is the node.
    const mount = use.mounts.find((one) => one.device === device || one.source === path)
    if (mount) return `${path} is mounted at ${mount.target}`
    if (use.swaps.includes(path)) return `${path} is swap space`
    if (holders.length > 0) return `${path} is a part of ${holders.join(' and ')}`
    const loop = use.loops.find((one) => one.device === device)
    if (loop) return `${loop.path} leads to ${path}`
  }
  return undefined
}
