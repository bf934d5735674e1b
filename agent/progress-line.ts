import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { bytesToDoWords } from '#protocol/run/step-bytes.ts'
import { createRate } from './rate.ts'
import type { StepReporter } from './client/reporter.ts'

/** On a terminal one line is kept up to date; in a file each line stays. */
const TERMINAL_INTERVAL_MILLISECONDS = 200
const FILE_INTERVAL_MILLISECONDS = 5000

/** A terminal, a file, or what else shows lines. */
export interface Screen {
  readonly isTTY: boolean
  write(text: string): unknown
}

export interface ProgressLine extends StepReporter {
  /** A line of its own. */
  print(text: string): void
}

/** `isReadBack`: what is written is. */
export function createProgressLine(stream: Screen, { isReadBack = true } = {}): ProgressLine {
  const clear = stream.isTTY ? '\r\u001b[K' : ''
  const interval = stream.isTTY ? TERMINAL_INTERVAL_MILLISECONDS : FILE_INTERVAL_MILLISECONDS
  let rate = createRate(performance.now())
  let lastAt = performance.now()
  let step = ''
  return {
    started(name) {
      step = name
      rate = createRate(performance.now())
    },
    progress(bytesDone, bytesTotal) {
      const now = performance.now()
      const bytesPerSecond = rate.at(now, bytesDone)
      if (now - lastAt < interval && bytesDone < bytesTotal) return
      lastAt = now
      const percent = Math.floor((bytesDone / Math.max(bytesTotal, 1)) * 100)
      const bytes = `${formatBytes(bytesTotal)}${isReadBack ? bytesToDoWords(step, 'agent') : ''}`
      const text = `${step}: ${percent} % of ${bytes}, ${formatBytes(Math.round(bytesPerSecond))}/s`
      stream.write(stream.isTTY ? clear + text : `${text}\n`)
    },
    ended() {
      stream.write(clear)
    },
    print(text) {
      stream.write(`${clear}${text}\n`)
    },
  }
}
