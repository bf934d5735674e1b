import { cpus } from 'node:os'

/** How hard chunks of a capture are compressed: as hard as costs no time, given processors and link. */

/** Levels of zstd that are worth their time, with what a chunk takes, as a multiple of the first. */
const LEVELS = [
  { level: 2, cost: 1 },
  { level: 3, cost: 1.6 },
  { level: 6, cost: 4.5 },
  { level: 9, cost: 10 },
] as const
export type CompressionLevel = (typeof LEVELS)[number]['level']

/** A link that is slower than two slow processors at this is found out within two batches. */
const FIRST_LEVEL: CompressionLevel = 2
/** Below this it is not known what one waits for. */
const CLEARLY = 1.5

/** Of the chunks since the last choice, all together. */
export interface Waits {
  /** From when a chunk was there to when it was compressed, waiting for a thread included. */
  compressMilliseconds: number
  /** From there on until the server had it. */
  sendMilliseconds: number
  /** How much of their time all processors had something to do meanwhile, from 0 to 1. */
  busyShare: number
}

/**
 * The level for the chunks that come next. All buffers wait where the narrowest place is: before the
 * threads or before the link. One step harder only if the threads would still not be that place, and
 * processors have that much time to spare: a server on the same machine may need it. One step easier
 * if threads clearly are that place.
 */
export function chooseLevel(
  level: CompressionLevel,
  { compressMilliseconds, sendMilliseconds, busyShare }: Waits,
): CompressionLevel {
  const at = LEVELS.findIndex((one) => one.level === level)
  const { cost } = LEVELS[at]!
  const harder = LEVELS[at + 1]
  if (harder) {
    const more = harder.cost / cost
    const isLinkSlower = compressMilliseconds * more * CLEARLY < sendMilliseconds
    if (isLinkSlower && busyShare * more < 1) return harder.level
  }
  const easier = LEVELS[at - 1]
  return easier && compressMilliseconds > sendMilliseconds * CLEARLY ? easier.level : level
}

/** Two or three batches: what is measured of fewer is chance. */
const CHUNKS_OF_A_CHOICE = 48

/** Milliseconds of all processors together since the machine started. */
export interface ProcessorTimes {
  busy: number
  all: number
}

export function processorTimes(): ProcessorTimes {
  const each = cpus().map(({ times: { idle, ...busy } }) => ({
    idle,
    busy: Object.values(busy).reduce((sum, time) => sum + time, 0),
  }))
  const sum = (kind: 'idle' | 'busy') => each.reduce((total, times) => total + times[kind], 0)
  return { busy: sum('busy'), all: sum('busy') + sum('idle') }
}

/** Measures, and chooses anew every few dozen chunks. */
export class LevelChooser {
  readonly #readTimes: () => ProcessorTimes
  #level: CompressionLevel = FIRST_LEVEL
  #compressMilliseconds = 0
  #sendMilliseconds = 0
  #since: ProcessorTimes
  #chunks = 0

  constructor(readTimes = processorTimes) {
    this.#readTimes = readTimes
    this.#since = readTimes()
  }

  get level(): CompressionLevel {
    return this.#level
  }

  /** What one chunk took. */
  add({ compressMilliseconds, sendMilliseconds }: Omit<Waits, 'busyShare'>): void {
    this.#compressMilliseconds += compressMilliseconds
    this.#sendMilliseconds += sendMilliseconds
    if (++this.#chunks < CHUNKS_OF_A_CHOICE) return
    const now = this.#readTimes()
    const { busy, all } = this.#since
    this.#level = chooseLevel(this.#level, {
      compressMilliseconds: this.#compressMilliseconds,
      sendMilliseconds: this.#sendMilliseconds,
      busyShare: (now.busy - busy) / Math.max(1, now.all - all),
    })
    this.#since = now
    this.#compressMilliseconds = 0
    this.#sendMilliseconds = 0
    this.#chunks = 0
  }
}
