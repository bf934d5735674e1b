import type { SystemFiles } from '../system-files.ts'
import { keepHostname } from './cloud-init.ts'
import { renameInHosts } from './hosts-file.ts'

const HOSTNAME_FILE = '/etc/hostname'
const HOSTS_FILE = '/etc/hosts'

/** The name in hostname(5) and hosts(5), kept against cloud-init. */
export async function setHostname(files: SystemFiles, hostname: string): Promise<void> {
  const previous = nameIn((await files.read(HOSTNAME_FILE)) ?? '')
  await files.write(HOSTNAME_FILE, `${hostname}\n`)
  const hosts = (await files.read(HOSTS_FILE)) ?? '127.0.0.1\tlocalhost\n::1\tlocalhost\n'
  await files.write(HOSTS_FILE, renameInHosts(hosts, { hostname, ...(previous && { previous }) }))
  await keepHostname(files)
}

/** `localhost` is no name of its own: it must stay in hosts(5). */
function nameIn(text: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  const name = lines.find((line) => line && !line.startsWith('#'))
  return name === undefined || /^localhost(\.|$)/.test(name) ? undefined : name
}
