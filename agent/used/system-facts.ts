/** e_machine of the ELF specification, as `uname -m` calls it. */
const MACHINES: Record<number, string> = {
  3: 'i686',
  21: 'ppc64le',
  22: 's390x',
  40: 'armv7l',
  62: 'x86_64',
  183: 'aarch64',
  243: 'riscv64',
}
const ELF_MAGIC = '\x7fELF'
const LITTLE_ENDIAN = 1

/** The processor that a program is made for, from its first 20 bytes. */
export function elfArchitecture(header: Buffer): string | undefined {
  if (header.length < 20 || header.toString('latin1', 0, 4) !== ELF_MAGIC) return undefined
  const isLittle = header[5] === LITTLE_ENDIAN
  const machine = isLittle ? header.readUInt16LE(18) : header.readUInt16BE(18)
  if (machine === 21 && !isLittle) return 'ppc64'
  return MACHINES[machine]
}

const MAX_NAME_CHARACTERS = 200

/** PRETTY_NAME of os-release(5). */
export function prettyName(osRelease: string): string | undefined {
  const value = /^PRETTY_NAME=(.*)$/m.exec(osRelease)?.[1]?.trim()
  if (!value) return undefined
  const quoted = /^(["'])(.*)\1$/.exec(value)
  const text = (quoted ? quoted[2]! : value).replaceAll(/\\(.)/g, '$1')
  return text.slice(0, MAX_NAME_CHARACTERS) || undefined
}
