import { ConfigError, type Env, readBytes, readInteger, readOnOff, readVariable } from './env.ts'
import { parseStore, type StoreConfig } from './store-config.ts'

/** How the chunk store is cared for. */
export interface CareConfig {
  /** 0: only when somebody asks. */
  scrubHours: number
  scrubBytesPerSecond: number
  /** At first; who may can change it while the server runs. */
  recompress: boolean
  /** Who may have a chunk that was lost here. */
  healFrom: HealConfig | undefined
}

export type HealConfig =
  | { kind: 'server'; url: string; token: string | undefined }
  | { kind: 'store'; address: string; store: StoreConfig }

const WEEK_HOURS = 168
/** A decade. */
const MOST_HOURS = 87_600
/** A tenth of an old disk's pace, a terabyte in six hours. */
const DEFAULT_BYTES_PER_SECOND = 50_000_000

export const CARE_SETTINGS = [
  'STAMPEDE_STORE_QUOTA',
  'STAMPEDE_SCRUB_HOURS',
  'STAMPEDE_SCRUB_RATE',
  'STAMPEDE_RECOMPRESS',
  'STAMPEDE_HEAL_FROM',
  'STAMPEDE_HEAL_TOKEN',
]

/** Throws ConfigError. */
export function readCare(env: Env): CareConfig {
  return {
    scrubHours: readInteger(env, 'STAMPEDE_SCRUB_HOURS', {
      least: 0,
      most: MOST_HOURS,
      absent: WEEK_HOURS,
    }),
    scrubBytesPerSecond: readBytes(env, 'STAMPEDE_SCRUB_RATE') ?? DEFAULT_BYTES_PER_SECOND,
    recompress: readOnOff(env, 'STAMPEDE_RECOMPRESS', 'on'),
    healFrom: readHealFrom(env),
  }
}

function readHealFrom(env: Env): HealConfig | undefined {
  const text = readVariable(env, 'STAMPEDE_HEAL_FROM')
  const token = readVariable(env, 'STAMPEDE_HEAL_TOKEN')
  if (text === undefined) {
    if (token === undefined) return undefined
    throw new ConfigError('STAMPEDE_HEAL_TOKEN is set, which needs STAMPEDE_HEAL_FROM too')
  }
  if (/^https?:\/\//.test(text)) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || url.pathname + url.search + url.hash !== '/' || url.username || url.password)
      throw new ConfigError(
        'STAMPEDE_HEAL_FROM must be like https://192.0.2.1:8443, without a path; its token goes into STAMPEDE_HEAL_TOKEN',
      )
    return { kind: 'server', url: url.origin, token }
  }
  if (token !== undefined)
    throw new ConfigError(
      `STAMPEDE_HEAL_TOKEN is set, but STAMPEDE_HEAL_FROM is "${text}", which takes none`,
    )
  return { kind: 'store', address: text, store: parseStore('STAMPEDE_HEAL_FROM', text, env) }
}
