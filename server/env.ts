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
