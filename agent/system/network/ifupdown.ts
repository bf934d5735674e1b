import { CONFIG_HEADER, type StaticNetwork } from './static-network.ts'

/** interfaces(5): words that begin a stanza; other lines belong to the one before. */
const STANZA =
  /^\s*(iface|mapping|auto|allow-\S+|rename|no-auto-down|no-scripts|source(-directory)?)\s/
/** Lines that name interfaces to bring up or to treat in some way. */
const SELECTION = /^(\s*(?:auto|allow-\S+|no-auto-down|no-scripts)\s+)(.*)$/

/** The interfaces that the text configures, but for the loopback and for a stanza of ours. */
export function configuredInterfaces(text: string): string[] {
  const names = [...text.matchAll(/^\s*iface\s+(\S+)/gm)].map((match) => match[1]!)
  return [...new Set(names)].filter((name) => name !== 'lo' && name !== OUR_NAME)
}

/** A logical name: the card keeps the one that the kernel gives it. */
const OUR_NAME = 'stampede'

/**
 * Without a `name`, ifup finds the card by its MAC address (interfaces(5), "Pattern matching
 * interfaces"); an old ifup needs the name.
 */
export function staticStanza(network: StaticNetwork, name: string | undefined): string {
  const { mac, address, gateway, nameservers } = network
  const lines = [
    CONFIG_HEADER,
    `auto ${name ?? `mac/${mac}=${OUR_NAME}`}`,
    `iface ${name ?? OUR_NAME} inet static`,
    `    address ${address}`,
    ...(gateway === undefined ? [] : [`    gateway ${gateway}`]),
    ...(nameservers.length > 0 ? [`    dns-nameservers ${nameservers.join(' ')}`] : []),
    '',
    '',
  ]
  return lines.join('\n')
}

/** Comments out all that configures the interface and brings it up. */
export function disableInterface(text: string, name: string): string {
  let isInside = false
  const lines = text.split('\n').map((line) => {
    if (STANZA.test(line)) isInside = new RegExp(`^\\s*iface\\s+${escape(name)}\\s`).test(line)
    const isContent = line.trim() !== '' && !line.trim().startsWith('#')
    if (isInside) return isContent ? `#${line}` : line
    return withoutSelection(line, name)
  })
  return lines.join('\n')
}

function withoutSelection(line: string, name: string): string {
  const [, keyword, rest] = SELECTION.exec(line) ?? []
  if (keyword === undefined || rest === undefined) return line
  const names = rest.trim().split(/\s+/)
  if (!names.includes(name)) return line
  const others = names.filter((other) => other !== name)
  return others.length > 0 ? keyword + others.join(' ') : `#${line}`
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`)
}

/** Since when `auto mac/…` is understood; ifupdown-ng and busybox never do. */
const PATTERNS_SINCE = [0, 8, 20]

/** Whether this ifup finds cards by MAC address, by what `ifup --version` prints. */
export function knowsPatterns(versionText: string): boolean {
  const version = /^ifup(?:down)?:? version (\d+)\.(\d+)\.(\d+)/m.exec(versionText)
  if (!version) return false
  const numbers = version.slice(1).map(Number)
  const at = numbers.findIndex((number, place) => number !== PATTERNS_SINCE[place])
  return at === -1 || numbers[at]! > PATTERNS_SINCE[at]!
}
