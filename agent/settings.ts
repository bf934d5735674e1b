/** What a booted machine is told: where its server is, which card it booted from, its token. */
export interface AgentSettings {
  serverUrl: string
  mac: string
  bootToken: string
}

const NAMES = {
  serverUrl: { env: 'STAMPEDE_URL', argument: 'stampede.url' },
  mac: { env: 'STAMPEDE_MAC', argument: 'stampede.mac' },
  bootToken: { env: 'STAMPEDE_TOKEN', argument: 'stampede.token' },
} as const

/** The environment counts, then the kernel's command line. Throws naming what is missing. */
export function parseSettings(
  env: Record<string, string | undefined>,
  commandLine: string,
): AgentSettings {
  const words = new Map(commandLine.trim().split(/\s+/).map(splitWord))
  const read = ({ env: name, argument }: (typeof NAMES)[keyof typeof NAMES]): string => {
    const value = env[name] || words.get(argument)
    if (!value)
      throw new Error(`Neither ${name} nor "${argument}=" on the kernel's command line is set`)
    return value
  }
  const serverUrl = read(NAMES.serverUrl)
  if (!URL.canParse(serverUrl)) throw new Error(`The server's URL is none: "${serverUrl}"`)
  return { serverUrl, mac: read(NAMES.mac), bootToken: read(NAMES.bootToken) }
}

function splitWord(word: string): [string, string] {
  const at = word.indexOf('=')
  return at === -1 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)]
}
