import { formatValue, median, ratio, type Measurement } from './measurement.ts'

/** What is promised of speed and size, and whether a run of the bench kept it. Pure. */

export type Wanted = {
  what: string
  /** Keys of measurements. */
  ours: string
  /** Absent: the bound is of `ours` itself, in its own unit. */
  theirs?: string
  bound: 'at most' | 'at least'
  value: number
}

const PARTCLONE = 'partclone | zstd'

export const WANTED: readonly Wanted[] = [
  {
    what: `deploy, every chunk verified before its write, against ${PARTCLONE} (unverified)`,
    ours: 'deploy/stampede',
    theirs: 'deploy/partclone',
    bound: 'at most',
    value: 0.55,
  },
  {
    what: `deploy, the disk read back as well, against ${PARTCLONE} (unverified)`,
    ours: 'deploy/stampede-read-back',
    theirs: 'deploy/partclone',
    bound: 'at most',
    value: 0.9,
  },
  {
    what: `capture, agent and server sharing the processors, against ${PARTCLONE}`,
    ours: 'capture/stampede',
    theirs: 'capture/partclone',
    bound: 'at most',
    value: 0.45,
  },
  {
    what: `capture, the agent with its processors to itself, against ${PARTCLONE}`,
    ours: 'capture/stampede-agent',
    theirs: 'capture/partclone',
    bound: 'at most',
    value: 0.45,
  },
  {
    what: `image stored, at once, against ${PARTCLONE}`,
    ours: 'capture/stampede-stored',
    theirs: 'capture/partclone-stored',
    bound: 'at most',
    value: 1.1,
  },
  {
    what: `image stored, after recompression, against ${PARTCLONE}`,
    ours: 'recompress/stampede',
    theirs: 'recompress/partclone',
    bound: 'at most',
    value: 1.02,
  },
  {
    what: 'stored more for the same system after apt install nginx vim python3',
    ours: 'growth/stampede-2',
    bound: 'at most',
    value: 45e6,
  },
  {
    what: 'deploy again: bytes over the network, against what differs',
    ours: 'redeploy/stampede-bytes',
    theirs: 'redeploy/difference',
    bound: 'at most',
    value: 1.3,
  },
  {
    what: 'deploy again: time, against reading the used part of the disk once',
    ours: 'redeploy/stampede',
    theirs: 'redeploy/read-used',
    bound: 'at most',
    value: 1.2,
  },
  ...[1, 8, 64].flatMap((clients): Wanted[] => [
    {
      what: `serve .img.gz of an upload to ${clients} client${clients === 1 ? '' : 's'}, against nginx`,
      ours: `serve/image-stampede-${clients}`,
      theirs: `serve/image-nginx-${clients}`,
      bound: 'at least',
      value: 0.9,
    },
    {
      what: `serve .img.gz of a capture to ${clients} client${clients === 1 ? '' : 's'}, against nginx`,
      ours: `serve/captured-stampede-${clients}`,
      theirs: `serve/captured-nginx-${clients}`,
      bound: 'at least',
      value: 0.9,
    },
    {
      what: `serve chunks to ${clients} client${clients === 1 ? '' : 's'}, against nginx`,
      ours: `serve/chunks-stampede-${clients}`,
      theirs: `serve/chunks-nginx-${clients}`,
      bound: 'at least',
      value: 0.9,
    },
  ]),
]

export type Verdict = {
  wanted: Wanted
  /** The ratio, or the value itself where nothing is held against it. */
  reached: number
  isMet: boolean
}

/** One for each that was measured. */
export function judge(
  measurements: readonly Measurement[],
  wanted: readonly Wanted[] = WANTED,
): Verdict[] {
  const find = (key: string) => measurements.find((each) => each.key === key)
  return wanted.flatMap((each): Verdict[] => {
    const ours = find(each.ours)
    const theirs = each.theirs === undefined ? undefined : find(each.theirs)
    if (!ours || (each.theirs !== undefined && !theirs)) return []
    const reached = theirs ? ratio(ours, theirs) : median(ours.rounds)
    const isMet = each.bound === 'at most' ? reached <= each.value : reached >= each.value
    return [{ wanted: each, reached, isMet }]
  })
}

export function formatVerdict({ wanted, reached, isMet }: Verdict): string {
  const format = (value: number) =>
    wanted.theirs === undefined ? formatValue(value, 'bytes') : `${value.toFixed(2)} ×`
  const said = `${format(reached)}, wanted ${wanted.bound} ${format(wanted.value)}`
  return `${isMet ? 'met   ' : 'MISSED'} ${wanted.what}: ${said}`
}
