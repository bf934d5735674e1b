/** How hard chunks of a capture are compressed: as hard as costs no time, given processors and link. */

/** Levels of zstd that are worth their time, with what a chunk takes, as a multiple of the first. */
const LEVELS = [
  { level: 2, cost: 1 },
  { level: 3, cost: 1.3 },
  { level: 6, cost: 3.5 },
  { level: 9, cost: 8 },
] as const
export type CompressionLevel = (typeof LEVELS)[number]['level']

/** 9 % less than level 1 stores, which a link of 1 Gbit/s makes up for on two slow processors. */
export const FIRST_LEVEL: CompressionLevel = 3
/** Below this it is not known what one waits for. */
const CLEARLY = 1.5

/** Of the chunks since the last choice, all together. */
export interface Waits {
  /** From when a chunk was there to when it was compressed, waiting for a thread included. */
  compressMilliseconds: number
  /** From there on until the server had it. */
  sendMilliseconds: number
}

/**
 * The level for the chunks that come next. All buffers wait where the narrowest place is: before the
 * threads or before the link. One step harder only if the threads would still not be that place; one
 * step easier if they clearly are.
 */
export function chooseLevel(
  level: CompressionLevel,
  { compressMilliseconds, sendMilliseconds }: Waits,
): CompressionLevel {
  const at = LEVELS.findIndex((one) => one.level === level)
  const { cost } = LEVELS[at]!
  const harder = LEVELS[at + 1]
  if (harder && compressMilliseconds * (harder.cost / cost) * CLEARLY < sendMilliseconds)
    return harder.level
  const easier = LEVELS[at - 1]
  return easier && compressMilliseconds > sendMilliseconds * CLEARLY ? easier.level : level
}

/** Two or three batches: what is measured of fewer is chance. */
const CHUNKS_OF_A_CHOICE = 48

/** Measures, and chooses anew every few dozen chunks. */
export class LevelChooser {
  #level: CompressionLevel = FIRST_LEVEL
  #waits: Waits = { compressMilliseconds: 0, sendMilliseconds: 0 }
  #chunks = 0

  get level(): CompressionLevel {
    return this.#level
  }

  /** What one chunk took. */
  add({ compressMilliseconds, sendMilliseconds }: Waits): void {
    this.#waits.compressMilliseconds += compressMilliseconds
    this.#waits.sendMilliseconds += sendMilliseconds
    if (++this.#chunks < CHUNKS_OF_A_CHOICE) return
    this.#level = chooseLevel(this.#level, this.#waits)
    this.#waits = { compressMilliseconds: 0, sendMilliseconds: 0 }
    this.#chunks = 0
  }
}
