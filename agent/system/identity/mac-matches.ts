import { parseMac, type Mac } from '#protocol/mac.ts'

/** Where a kind of network configuration names MAC addresses. */
export type MacFormat = {
  folder: string
  name: RegExp
  /** The line up to its value. */
  key: RegExp
}

export const MAC_FORMATS: MacFormat[] = [
  { folder: '/etc/netplan', name: /\.yaml$/, key: /^[\s-]*["']?macaddress["']?\s*:/i },
  {
    folder: '/etc/systemd/network',
    name: /\.(network|link|netdev)$/,
    key: /^\s*(Permanent)?MACAddress\s*=/i,
  },
  {
    folder: '/etc/NetworkManager/system-connections',
    name: /^[^.]/,
    key: /^\s*(cloned-)?mac-address\s*=/i,
  },
  { folder: '/etc/network', name: /^interfaces$/, key: /^\s*(hwaddress|auto|allow-\S+|rename)\s/ },
  {
    folder: '/etc/network/interfaces.d',
    name: /./,
    key: /^\s*(hwaddress|auto|allow-\S+|rename)\s/,
  },
  { folder: '/etc/sysconfig/network-scripts', name: /^ifcfg-/, key: /^\s*(HWADDR|MACADDR)\s*=/ },
  { folder: '/etc/sysconfig/network', name: /^ifcfg-/, key: /^\s*(HWADDR|LLADDR)\s*=/ },
]

const MAC_IN_TEXT = /(?<![0-9a-f:-])[0-9a-f]{2}([:-][0-9a-f]{2}){5}(?![0-9a-f:-])/gi

/** The MAC addresses that a file's settings name, each once. */
export function findMacs(text: string, { key }: MacFormat): Mac[] {
  const lines = text.split('\n').filter((line) => key.test(line))
  const macs = lines.flatMap((line) => line.match(MAC_IN_TEXT) ?? [])
  return [...new Set(macs.map((mac) => parseMac(mac)))]
}

/** The text with one MAC address instead of another; comments and all else stay as they are. */
export function replaceMac(
  text: string,
  { key }: MacFormat,
  change: { from: Mac; to: Mac },
): string {
  const replaceIn = (line: string) =>
    line.replaceAll(MAC_IN_TEXT, (mac) => (parseMac(mac) === change.from ? change.to : mac))
  const lines = text.split('\n')
  return lines.map((line) => (key.test(line) ? replaceIn(line) : line)).join('\n')
}

export type MacFacts = {
  /** All that the system's settings name. */
  named: readonly Mac[]
  /** The card that this machine booted from. */
  boot: Mac
  /** All cards of this machine. */
  own: readonly Mac[]
  /** The machine that the image was captured from, if that is known. */
  captured?: Mac
}

/**
 * Which MAC address of the captured machine becomes this one's: the one it booted from, or the only
 * one there is. Of several, who knows which was which: `unclear`.
 */
export function planMacChange({ named, boot, own, captured }: MacFacts): {
  from?: Mac
  unclear: Mac[]
} {
  const foreign = named.filter((mac) => mac !== boot && !own.includes(mac))
  const from =
    captured && foreign.includes(captured)
      ? captured
      : foreign.length === 1 && !named.includes(boot)
        ? foreign[0]
        : undefined
  const unclear = foreign.filter((mac) => mac !== from)
  return from ? { from, unclear } : { unclear }
}

/** `capture of 52:54:00:12:34:56`, as an image's information tells its source. */
export function capturedMac(source: string | undefined): Mac | undefined {
  const mac = source?.match(MAC_IN_TEXT)?.[0]
  return mac ? parseMac(mac) : undefined
}
