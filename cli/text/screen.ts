import { stripVTControlCharacters } from 'node:util'

/** A block of lines at the end of a terminal that is drawn again in its place. */
export interface Screen {
  size(): { columns: number; rows: number }
  /** Lines that are too long are cut, lines that are too many left out. */
  draw(lines: readonly string[]): void
  /** A line above the block that stays. */
  print(line: string): void
  /** Leaves what was drawn last, and the cursor below it. */
  end(): void
}

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_LINE = '\u001b[2K'
const CLEAR_BELOW = '\u001b[J'

export function createScreen(stream: NodeJS.WriteStream): Screen {
  let drawn: readonly string[] = []
  const size = () => ({ columns: stream.columns || 80, rows: stream.rows || 24 })
  const goHome = () => (drawn.length > 0 ? `\u001b[${drawn.length}A\r` : '\r')
  const restore = () => stream.write(SHOW_CURSOR)
  stream.write(HIDE_CURSOR)
  process.once('exit', restore)

  function draw(lines: readonly string[]): void {
    const { columns, rows } = size()
    const shown = lines.slice(0, rows - 1).map((line) => cut(line, columns))
    const text = shown.map((line) => `${CLEAR_LINE}${line}\n`).join('')
    stream.write(`${goHome()}${text}${CLEAR_BELOW}`)
    drawn = shown
  }

  return {
    size,
    draw,
    print(line) {
      const before = drawn
      stream.write(`${goHome()}${CLEAR_BELOW}${line}\n`)
      drawn = []
      draw(before)
    },
    end() {
      process.off('exit', restore)
      restore()
    },
  }
}

/** A line that wraps would put the cursor elsewhere than counted. */
function cut(line: string, columns: number): string {
  const plain = Array.from(stripVTControlCharacters(line))
  return plain.length <= columns ? line : `${plain.slice(0, columns - 1).join('')}…`
}
