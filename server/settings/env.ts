/** Variables of the environment; each reader throws a ConfigError that names its variable. */

/** The environment that a configuration is read from. */
export type Env = Readonly<Record<string, string | undefined>>

/** Its message is one sentence for the operator. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** An empty variable counts as absent, as in a compose file. */
export function readVariable(env: Env, name: string): string | undefined {
  return env[name]?.trim() || undefined
}

export function readChoice<Choice extends string>(
  env: Env,
  name: string,
  choices: readonly Choice[],
  absent: Choice,
): Choice {
  const text = readVariable(env, name) ?? absent
  const choice = choices.find((candidate) => candidate === text)
  if (!choice)
    throw new ConfigError(`${name} is "${text}" but must be one of ${choices.join(', ')}`)
  return choice
}

/** `1` or `0`, which it is if it is absent. */
export function readSwitch(env: Env, name: string): boolean {
  return readChoice(env, name, ['0', '1'] as const, '0') === '1'
}

export function readOnOff(env: Env, name: string, absent: 'on' | 'off'): boolean {
  return readChoice(env, name, ['on', 'off'] as const, absent) === 'on'
}

export function readInteger(
  env: Env,
  name: string,
  { least, most, absent }: { least: number; most: number; absent: number },
): number {
  const text = readVariable(env, name)
  if (text === undefined) return absent
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(value >= least && value <= most))
    throw new ConfigError(
      `${name} is "${text}" but must be a whole number from ${least} to ${most}`,
    )
  return value
}

/** Turns the TypeError of a parser into a sentence that names the variable. */
export function readWith<Value>(name: string, text: string, parse: (text: string) => Value): Value {
  try {
    return parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(`${name} is "${text}": ${reason}`, { cause })
  }
}

const UNITS: Record<string, number> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** A number of bytes such as `500G` or `2Ti`. */
export function readBytes(env: Env, name: string): number | undefined {
  const text = readVariable(env, name)
  if (text === undefined) return undefined
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?$/.exec(text) ?? []
  const bytes = Math.floor(Number(digits) * UNITS[unit]!)
  if (!(bytes >= 1 && Number.isSafeInteger(bytes)))
    throw new ConfigError(`${name} is "${text}" but must be a number of bytes such as 500G or 2Ti`)
  return bytes
}
