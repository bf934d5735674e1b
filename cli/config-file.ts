import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { CliError, EXIT } from './errors.ts'

/** What `stampede login` leaves: a token for each server, so that none is sent to another. */

const LoginSchema = Type.Object({
  token: Type.String({ minLength: 1 }),
  /** To revoke it at logout; absent: it was given by hand. */
  tokenId: Type.Optional(Type.String()),
  name: Type.String(),
  expiresAt: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})
export type Login = Static<typeof LoginSchema>

const ConfigSchema = Type.Object({
  /** The server that is meant when none is named. */
  server: Type.Optional(Type.String()),
  logins: Type.Record(Type.String(), LoginSchema),
})
export type CliConfig = Static<typeof ConfigSchema>

type Env = Record<string, string | undefined>

export function configPath(env: Env): string {
  // XDG Base Directory Specification: a relative path is to be ignored.
  const base = env.XDG_CONFIG_HOME?.startsWith('/')
    ? env.XDG_CONFIG_HOME
    : join(env.HOME ?? homedir(), '.config')
  return join(base, 'stampede', 'config.json')
}

/** Throws CliError for a file that others may read: what is in it is no secret any more. */
export async function readConfig(path: string): Promise<CliConfig> {
  let text: string
  try {
    const { mode } = await stat(path)
    if (mode & 0o077)
      throw new CliError(
        EXIT.auth,
        `${path} can be read or changed by others (mode ${(mode & 0o777).toString(8)}): revoke its token, then "chmod 600 ${path}"`,
      )
    text = await readFile(path, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return { logins: {} }
    throw err
  }
  const config = parseJson(text)
  if (!Value.Check(ConfigSchema, config))
    throw new CliError(EXIT.failed, `${path} is damaged; remove it and sign in again`)
  return config
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** All of it or nothing, and never readable to others, not even for a moment. */
export async function writeConfig(path: string, config: CliConfig): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, `${JSON.stringify(config, undefined, 2)}\n`, {
      mode: 0o600,
      flag: 'wx',
    })
    await rename(temporary, path)
  } catch (err) {
    await rm(temporary, { force: true })
    throw err
  }
}
