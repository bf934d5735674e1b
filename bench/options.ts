import { parseArgs } from 'node:util'

const GIB = 1024 ** 3

export const SECTIONS = [
  'capture',
  'deploy',
  'redeploy',
  'recompress',
  'serve',
  'growth',
  'api',
] as const
export type Section = (typeof SECTIONS)[number]

export interface BenchOptions {
  sections: readonly Section[]
  sizeBytes: number
  contentBytes: number
  garbageBytes: number
  rounds: number
  /** For a look while working on something: a small disk, no slow contenders, nothing recorded. */
  isQuick: boolean
  /** Whether the results are appended to those of earlier runs. */
  record: boolean
}

/** Throws TypeError with a sentence for whoever typed it. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      'size-gib': { type: 'string' },
      'content-mb': { type: 'string' },
      'garbage-mb': { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'no-record': { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  const number = (name: 'size-gib' | 'content-mb' | 'garbage-mb' | 'rounds', usual: number) => {
    const value = Number(values[name] ?? usual)
    if (!(value > 0)) throw new TypeError(`--${name} is "${values[name]}" but must be above 0`)
    return value
  }
  const asked = values.only?.flatMap((names) => names.split(',')).map(parseSection)
  return {
    // In this order: what one leaves behind, the next ones need.
    sections: SECTIONS.filter((section) => asked?.includes(section) ?? true),
    sizeBytes: Math.round(number('size-gib', quick ? 3 : 10)) * GIB,
    contentBytes: number('content-mb', quick ? 600 : 1400) * 1e6,
    garbageBytes: number('garbage-mb', quick ? 150 : 300) * 1e6,
    rounds: number('rounds', quick ? 2 : 3),
    isQuick: quick,
    record: !quick && !values['no-record'],
  }
}

function parseSection(text: string): Section {
  const section = SECTIONS.find((each) => each === text)
  if (section === undefined)
    throw new TypeError(`--only is "${text}" but must be one of ${SECTIONS.join(', ')}`)
  return section
}
