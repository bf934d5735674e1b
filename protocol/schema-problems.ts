import { USER_NAME_PATTERN } from './account.ts'
import { MAC_PATTERN } from './mac.ts'
import {
  HOSTNAME_PATTERN,
  IMAGE_NAME_PATTERN,
  IMAGE_REFERENCE_PATTERN,
  UUID_PATTERN,
} from './names.ts'
import { SHA256_PATTERN } from './sha256.ts'

/** What a validator of TypeBox finds wrong, as far as it is looked at here. */
export interface SchemaProblem {
  keyword: string
  /** Of the rule that is broken: `#/properties/name/anyOf/0`. */
  schemaPath: string
  /** Of what breaks it: `/disk/serial`. */
  instancePath: string
  params: Record<string, unknown>
  message?: string | undefined
}

/** What those that people type stand for. */
const PATTERNS: Record<string, string> = {
  [MAC_PATTERN]: 'a MAC address such as 52:54:00:12:34:56',
  [IMAGE_NAME_PATTERN]:
    'the name of an image, such as debian-13, without a version: at most 128 lower-case letters, digits, ".", "_" and "-", the first a letter or digit',
  [IMAGE_REFERENCE_PATTERN]:
    'the name of an image, or a version of it: debian-13, debian-13@3, debian-13@latest',
  [USER_NAME_PATTERN]:
    'a name to sign in with, such as maria: at most 64 letters, digits, ".", "_", "-" and "@", the first a letter or digit',
  [HOSTNAME_PATTERN]: 'a host name such as rack3-node7',
  [SHA256_PATTERN]: 'a SHA-256: 64 hexadecimal digits in lower case',
  [UUID_PATTERN]: 'like 019c2f71-3a52-7b90-8d44-0c9d8e7f6a51, as lists show it',
}
const MUST_BE = 'must be '

/** Each problem once, as what to change: `disk.size must not be there`, `grow must be boolean`. */
export function explainProblems(problems: readonly SchemaProblem[]): string[] {
  const choices = problems.filter(({ keyword }) => keyword === 'anyOf')
  const told = problems.flatMap((problem) => {
    // What must not be there is named by a problem of its own.
    if (problem.keyword === 'additionalProperties') return []
    if (choices.some((choice) => isAlternative(problem, choice))) return []
    return choices.includes(problem) ? explainChoice(problem, problems) : explainProblem(problem)
  })
  return [...new Set(told)]
}

/** One sentence for all that something may be, where each says what that is. */
function explainChoice(choice: SchemaProblem, problems: readonly SchemaProblem[]): string[] {
  const inside = problems.filter((problem) => isAlternative(problem, choice))
  // A literal is of its type anyway.
  const literals = new Set(
    inside.filter(({ keyword }) => keyword === 'const').map(({ schemaPath }) => schemaPath),
  )
  const texts = inside
    .filter(({ keyword, schemaPath }) => keyword === 'const' || !literals.has(schemaPath))
    .map(textOf)
  const isSimple =
    inside.every(({ instancePath }) => instancePath === choice.instancePath) &&
    texts.every((text) => text.startsWith(MUST_BE))
  if (texts.length === 0 || !isSimple) return explainProblems(inside)
  const words = [...new Set(texts.map((text) => text.slice(MUST_BE.length)))]
  return [`${nameOf(choice)} ${MUST_BE}${words.join(' or ')}`.trim()]
}

function isAlternative(problem: SchemaProblem, choice: SchemaProblem): boolean {
  return (
    problem.schemaPath.startsWith(`${choice.schemaPath}/anyOf/`) &&
    // All items of a list have the same rule.
    `${problem.instancePath}/`.startsWith(`${choice.instancePath}/`)
  )
}

function explainProblem(problem: SchemaProblem): string[] {
  const name = nameOf(problem)
  const missing = problem.params['requiredProperties']
  if (problem.keyword !== 'required' || !Array.isArray(missing))
    return [`${name} ${textOf(problem)}`.trim()]
  return missing.map((one) => `${name === '' ? '' : `${name}.`}${String(one)} is missing`)
}

function nameOf({ instancePath }: SchemaProblem): string {
  return instancePath.slice(1).replaceAll('/', '.')
}

/** Nobody reads a pattern or "schema is false" and knows what to change. */
function textOf({ keyword, params, message }: SchemaProblem): string {
  const { pattern, allowedValue, allowedValues } = params
  if (typeof pattern === 'string') {
    if (pattern === '^https?://') return 'must begin with http:// or https://'
    const words = PATTERNS[pattern]
    return words === undefined
      ? `is not spelt as it must be, which is ${pattern}`
      : `${MUST_BE}${words}`
  }
  if (keyword === 'const') return `${MUST_BE}${String(allowedValue)}`
  if (Array.isArray(allowedValues)) return `${MUST_BE}one of ${allowedValues.join(', ')}`
  if (message === 'schema is false') return 'must not be there'
  return message ?? 'is not valid'
}
