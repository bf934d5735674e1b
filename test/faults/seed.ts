import { createHash, randomInt } from 'node:crypto'
import { createRandom } from '#test/support/lossy-proxy.ts'

const MAX_SEED = 2 ** 31

/** Another one each time, so that many runs look at many moments; given, a run is repeated. */
export const FAULT_SEED = parseSeed(process.env.FAULT_SEED)

function parseSeed(text: string | undefined): number {
  if (text === undefined || text === '') return randomInt(MAX_SEED)
  const seed = Number(text)
  if (!Number.isInteger(seed) || seed < 0 || seed >= MAX_SEED)
    throw new TypeError(`FAULT_SEED is "${text}"; it must be a whole number below ${MAX_SEED}`)
  return seed
}

export interface Chance {
  /** At least `low`, below `high`. */
  integer(low: number, high: number): number
  coin(): boolean
}

/** The same for the same seed and name, whichever other cells run. */
export function chanceOf(name: string): Chance {
  const hash = createHash('sha256').update(`${FAULT_SEED} ${name}`).digest()
  const random = createRandom(hash.readUInt32BE())
  const integer = (low: number, high: number) => low + Math.floor(random() * (high - low))
  return { integer, coin: () => random() < 0.5 }
}
