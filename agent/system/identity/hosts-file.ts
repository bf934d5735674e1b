export type NameChange = {
  hostname: string
  /** What the image called itself, if it had a name of its own. */
  previous?: string
}

/** The address that Debian gives the host's own name, where it has no permanent one. */
const OWN_NAME_ADDRESS = '127.0.1.1'
const LOOPBACK = /^(127\.|::1$)/

/** hosts(5) with the new name: in the line of 127.0.1.1, and wherever a loopback had the old one. */
export function renameInHosts(text: string, change: NameChange): string {
  const lines = text.split('\n').map((line) => renameInLine(line, change))
  if (lines.some((line) => addressOf(line) === OWN_NAME_ADDRESS)) return lines.join('\n')
  const at = lines.findLastIndex((line) => addressOf(line) === '127.0.0.1') + 1
  return lines.toSpliced(at, 0, ownNameLine(change.hostname)).join('\n')
}

function renameInLine(line: string, { hostname, previous }: NameChange): string {
  const address = addressOf(line)
  if (!LOOPBACK.test(address)) return line
  const [fields = '', comment = ''] = line.split(/(?<!\s)(?=\s*#)/)
  const names = fields.trim().split(/\s+/).slice(1)
  const isOld = (name: string) => name === previous || name.startsWith(`${previous}.`)
  const kept = names.filter((name) => !isOld(name))
  if (address === OWN_NAME_ADDRESS) {
    // Without an old name to go by, the whole line is taken for that of the host.
    const aliases = previous ? kept : []
    return [ownNameLine(hostname, domainOf(names, previous)), ...aliases].join(' ') + comment
  }
  if (kept.length === names.length) return line
  return `${address}\t${[...kept, hostname].join(' ')}${comment}`
}

/** A name without a domain keeps the image's: `new.example.org new`. */
function ownNameLine(hostname: string, domain?: string): string {
  const [short = hostname, ...rest] = hostname.split('.')
  const suffix = rest.length > 0 ? rest.join('.') : domain
  return `${OWN_NAME_ADDRESS}\t${suffix ? `${short}.${suffix} ${short}` : short}`
}

function domainOf(names: readonly string[], previous: string | undefined): string | undefined {
  if (!previous) return undefined
  const [short = previous] = previous.split('.')
  return names.find((name) => name.startsWith(`${short}.`))?.slice(short.length + 1)
}

function addressOf(line: string): string {
  return line.split('#')[0]!.trim().split(/\s+/)[0]!
}
