import { stripVTControlCharacters, styleText } from 'node:util'

/** What people read. */

// Names and models come from machines and the network: none may steer the terminal.
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** On one line, so that no name can bring lines of its own; control characters become visible. */
export function printable(text: string): string {
  return printableLines(text).replace(/\s*\n\s*/g, ' ')
}

/** What may well have several lines, such as a description. */
export function printableLines(text: string): string {
  // Apart: an escape that begins in one line must not swallow the next.
  const lines = text.split('\n').map((line) => stripVTControlCharacters(line))
  return lines.map((line) => line.replace(CONTROLS, '�')).join('\n')
}

type Style = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'dim' | 'bold'
let coloured = false

/** NO_COLOR and FORCE_COLOR as in no-color.org and force-color.org. */
export function chooseColours(wanted: boolean, env: Record<string, string | undefined>): void {
  const asked = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== ''
  const refused = Boolean(env.NO_COLOR) || env.TERM === 'dumb'
  coloured = wanted && !refused && (asked || process.stdout.isTTY === true)
}

export function paint(style: Style | readonly Style[], text: string): string {
  return coloured ? styleText(style as Style, text, { validateStream: false }) : text
}

const STATE_STYLES: Record<string, Style> = {
  succeeded: 'green',
  deployed: 'green',
  ready: 'green',
  bound: 'green',
  running: 'cyan',
  booting: 'cyan',
  queued: 'blue',
  failed: 'red',
  'timed-out': 'red',
  declined: 'red',
  cancelled: 'yellow',
}

export function paintState(state: string): string {
  const style = STATE_STYLES[state]
  return style ? paint(style, state) : state
}

/** Lines of at most `width` characters, cut between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** `3 min ago`, `in 2 h`; exact times are in `--json`. */
export function ago(timestamp: string | null | undefined, now = Date.now()): string {
  if (timestamp === null || timestamp === undefined) return '–'
  const seconds = (now - Date.parse(timestamp)) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  const text = duration(Math.abs(seconds))
  return seconds > 0 ? `${text} ago` : `in ${text}`
}

/** `8 s`, `3 min`, `5 h`, `12 d`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** In the reader's own zone. */
export function localTime(timestamp: string): string {
  const time = new Date(timestamp)
  if (Number.isNaN(time.getTime())) return printable(timestamp)
  return time.toLocaleString('sv-SE', { hour12: false })
}

export function percent(done: number, total: number): number {
  return total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 0
}

export function progressBar(share: number, characters: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * characters)
  return paint('cyan', '█'.repeat(full)) + paint('dim', '░'.repeat(characters - full))
}
