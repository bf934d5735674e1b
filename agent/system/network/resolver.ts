/** resolv.conf(5) with these name servers instead of those that it has; all else stays. */
export function setNameservers(text: string, nameservers: readonly string[]): string {
  const others = text.split('\n').filter((line) => !/^\s*nameserver\s/.test(line))
  const body = others.join('\n').trim()
  const servers = nameservers.map((server) => `nameserver ${server}`)
  return [...(body ? [body] : []), ...servers, ''].join('\n')
}
