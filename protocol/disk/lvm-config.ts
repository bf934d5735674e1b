import { LvmDecodeError } from './lvm-label.ts'

/** The text that LVM2 describes a volume group with: `name = value` and `section { … }`, lvm.conf(5). */
export type LvmValue = string | number | readonly (string | number)[] | LvmSection
export type LvmSection = ReadonlyMap<string, LvmValue>

const TOKEN = /\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|([{}[\],=])|([^\s{}[\],="#]+)/y
const MAX_DEPTH = 16

type Token = { kind: 'text' | 'sign' | 'word'; text: string }

/** Throws LvmDecodeError. */
export function parseLvmConfig(text: string): LvmSection {
  const tokens = tokensOf(text)
  const section = parseSection(tokens, 0)
  if (tokens.length > 0) throw unexpected(tokens.at(-1))
  return section
}

/** In reverse, so that the next is popped. */
function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (!match) throw new LvmDecodeError(`The LVM metadata is not understood at character ${at}`)
    const [, quoted, sign, word] = match
    if (quoted !== undefined) tokens.push({ kind: 'text', text: quoted.replace(/\\(.)/g, '$1') })
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word })
  }
  return tokens.reverse()
}

function parseSection(tokens: Token[], depth: number): LvmSection {
  if (depth > MAX_DEPTH) throw new LvmDecodeError('The LVM metadata is nested too deep')
  const section = new Map<string, LvmValue>()
  while (tokens.length > 0 && !isSign(tokens.at(-1), '}')) {
    const name = tokens.pop()!
    if (name.kind === 'sign') throw unexpected(name)
    const next = tokens.pop()
    if (isSign(next, '=')) section.set(name.text, parseValue(tokens))
    else if (isSign(next, '{')) {
      section.set(name.text, parseSection(tokens, depth + 1))
      if (!isSign(tokens.pop(), '}')) throw unexpected(undefined)
    } else throw unexpected(next)
  }
  return section
}

function parseValue(tokens: Token[]): LvmValue {
  const first = tokens.pop()
  if (!isSign(first, '[')) return plainValue(first)
  const values: (string | number)[] = []
  for (;;) {
    const next = tokens.pop()
    if (isSign(next, ']')) return values
    if (!isSign(next, ',')) values.push(plainValue(next))
  }
}

function plainValue(token: Token | undefined): string | number {
  if (token?.kind === 'text') return token.text
  const value = token?.kind === 'word' ? Number(token.text) : Number.NaN
  if (Number.isNaN(value)) throw unexpected(token)
  return value
}

function isSign(token: Token | undefined, text: string): boolean {
  return token?.kind === 'sign' && token.text === text
}

function unexpected(token: Token | undefined): LvmDecodeError {
  return new LvmDecodeError(
    token
      ? `The LVM metadata has "${token.text}" where none belongs`
      : 'The LVM metadata is cut off',
  )
}
