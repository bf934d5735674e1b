import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { createScreen } from './screen.ts'
import { duration, percent, progressBar } from './text.ts'

/** How far a transfer is: a bar on a terminal, a line now and then elsewhere. On standard error. */
export interface Progress {
  readonly update: (bytesDone: number) => void
  /** A line of its own. */
  readonly note: (text: string) => void
  readonly end: () => void
}

const DRAW_MILLISECONDS = 100
const LINE_MILLISECONDS = 5000
const BAR_CHARACTERS = 30
/** The rate is that of the last seconds, not of the whole. */
const RATE_SECONDS = 5

export function createProgress(label: string, bytesTotal: number): Progress {
  const stream = process.stderr
  const rateAt = createRate()
  const screen = stream.isTTY ? createScreen(stream) : undefined
  let drawnAt = performance.now()
  let bytesDone = 0

  function line(): string {
    const rate = rateAt(performance.now(), bytesDone)
    const speed = rate === undefined ? '' : `, ${formatBytes(Math.round(rate))}/s`
    const left = rate ? `, ${duration((bytesTotal - bytesDone) / rate)} left` : ''
    const share = `${String(percent(bytesDone, bytesTotal)).padStart(3)} % of ${formatBytes(bytesTotal)}`
    const bar = screen ? `${progressBar(bytesDone / Math.max(1, bytesTotal), BAR_CHARACTERS)} ` : ''
    return `${label} ${bar}${share}${speed}${left}`
  }

  return {
    update(done) {
      bytesDone = done
      const now = performance.now()
      if (now - drawnAt < (screen ? DRAW_MILLISECONDS : LINE_MILLISECONDS)) return
      drawnAt = now
      if (screen) screen.draw([line()])
      else stream.write(`${line()}\n`)
    },
    note(text) {
      if (screen) screen.print(text)
      else stream.write(`${text}\n`)
    },
    end() {
      screen?.draw([])
      screen?.end()
    },
  }
}

/** Bytes a second over the last few seconds; undefined while there is nothing to compare with. */
function createRate(): (now: number, bytes: number) => number | undefined {
  const marks: { at: number; bytes: number }[] = []
  return (now, bytes) => {
    marks.push({ at: now, bytes })
    while (marks.length > 2 && now - marks[0]!.at > RATE_SECONDS * 1000) marks.shift()
    const [first] = marks
    return first && now > first.at ? ((bytes - first.bytes) * 1000) / (now - first.at) : undefined
  }
}
