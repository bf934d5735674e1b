/**
 * Text of others inside an iPXE script. iPXE replaces `${name}` in each line, then cuts it at blanks
 * into words, of which `;`, `&&`, `||` and `#…` end the command (core/exec.c). So no text may bring
 * such a word, a setting or a line of its own.
 */

const LINE_CHARACTERS = 76
const MAX_LINES = 8

/**
 * `echo` commands that show `text` on the machine's screen. A character that could mean something to
 * iPXE, or that its screen may lack, is shown as another.
 */
export function echoLines(text: string): string[] {
  const words = plain(text).split(' ').filter(Boolean)
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    const isFitting = last !== undefined && last.length + 1 + word.length <= LINE_CHARACTERS
    if (isFitting) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word.slice(0, LINE_CHARACTERS))
  }
  const shown = lines.slice(0, MAX_LINES)
  if (lines.length > MAX_LINES) shown.push('(and more)')
  // What begins with "-" would be an option of echo.
  return shown.map((line) => `echo ${line.startsWith('-') ? `: ${line}` : line}`)
}

/** A URL as one word of an iPXE command. Throws TypeError if it could be more than that. */
export function urlWord(url: string): string {
  if (!/^https?:\/\/[A-Za-z0-9.:[\]/_%~+-]+$/.test(url)) {
    throw new TypeError(`Not a URL for an iPXE script: "${url}"`)
  }
  return url
}

/** An argument of the kernel. Throws TypeError if iPXE could read it as more than one word. */
export function kernelWord(argument: string): string {
  if (!/^[A-Za-z0-9._~:/,=@%+[\]-]+$/.test(argument)) {
    throw new TypeError(`Not an argument for the kernel in an iPXE script: "${argument}"`)
  }
  return argument
}

function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replaceAll(/["'`]/g, '')
    .replaceAll(';', ',')
    .replaceAll(/[–—]/g, '-')
    .replaceAll('…', '...')
    .replaceAll(/[^A-Za-z0-9 .,:/()_+=%@<>!?*-]/g, '?')
}
