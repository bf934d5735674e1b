import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Run } from '#protocol/run/run.ts'
import { bytesToDoWords } from '#protocol/run/step-bytes.ts'
import type { Context } from './context.ts'
import { currentStep, isOver, receiptSummary, silenceText, verdictOf } from './text/run-text.ts'
import { createScreen } from './text/screen.ts'
import {
  duration,
  localTime,
  paint,
  paintState,
  percent,
  plural,
  printable,
  progressBar,
} from './text/text.ts'

/** Runs as they go on: bars on a terminal, lines elsewhere. */
export interface RunView {
  say(text: string): void
  update(run: Run): void
  end(): void
}

const DRAW_MILLISECONDS = 200
/** How often runs that say nothing are looked at. */
const SILENCE_MILLISECONDS = 5000
const BAR_CHARACTERS = 24
/** Without a terminal a step's progress is told in parts of this size. */
const TOLD_PERCENT = 10

export function createRunView(context: Context, nameOf: (run: Run) => string): RunView {
  // Standard output belongs to the JSON at the end.
  const stream = context.isJson ? process.stderr : process.stdout
  return stream.isTTY ? createBars(stream, nameOf) : createLines(stream, nameOf, context)
}

function createLines(
  stream: NodeJS.WriteStream,
  nameOf: (run: Run) => string,
  { say }: Context,
): RunView {
  const told = new Map<string, string>()
  const runs = new Map<string, Run>()
  function tell(run: Run): void {
    const text = lineOf(run)
    if (told.get(run.id) === text) return
    told.set(run.id, text)
    stream.write(`${localTime(new Date().toISOString())}  ${nameOf(run)}  ${text}\n`)
  }
  // One that says nothing more sends no event either.
  const timer = setInterval(() => runs.forEach(tell), SILENCE_MILLISECONDS)
  return {
    say,
    update(run) {
      runs.set(run.id, run)
      tell(run)
    },
    end: () => clearInterval(timer),
  }
}

function lineOf(run: Run): string {
  if (isOver(run)) return endOf(run)
  const step = currentStep(run)
  const silence = silenceText(run, new Date())
  if (silence !== undefined) return silence
  if (run.state !== 'running' || !step) return waitingText(run)
  if (step.bytesTotal === 0) return step.name
  const again = run.attempts > 1 ? `attempt ${run.attempts}, ` : ''
  const part = Math.floor(percent(step.bytesDone, step.bytesTotal) / TOLD_PERCENT) * TOLD_PERCENT
  const bytes = `${formatBytes(step.bytesTotal)}${bytesToDoWords(step.name, run.claimedBy)}`
  return `${again}${step.name} ${part} % of ${bytes}`
}

function waitingText({ state }: Run): string {
  if (state === 'queued') return 'waits for its next boot'
  return state === 'booting' ? 'boots' : 'begins'
}

function endOf(run: Run): string {
  if (run.state !== 'succeeded') return paint('red', verdictOf(run))
  const warnings = (run.receipt?.warnings ?? []).map((text) =>
    paint('yellow', ` (${printable(text)})`),
  )
  return [paintState(run.state), receiptSummary(run)].filter(Boolean).join(': ') + warnings.join('')
}

/** Failed and slow ones first: those that somebody waits for. */
function createBars(stream: NodeJS.WriteStream, nameOf: (run: Run) => string): RunView {
  const runs = new Map<string, Run>()
  const screen = createScreen(stream)
  let note: string | undefined
  let isDirty = false
  function draw(): void {
    isDirty = false
    const all = [...runs.values()]
    const { columns, rows } = screen.size()
    const room = Math.max(1, rows - 4)
    const shown = all.toSorted((a, b) => urgency(b) - urgency(a)).slice(0, room)
    const width = Math.min(24, Math.max(...shown.map((run) => nameOf(run).length)))
    const lines = shown.map(
      (run) => `${nameOf(run).slice(0, width).padEnd(width)}  ${barOf(run, columns - width)}`,
    )
    if (all.length > 1) lines.push(totals(all))
    if (note !== undefined) lines.push(paint('yellow', note))
    screen.draw(lines)
  }
  const timer = setInterval(() => isDirty && draw(), DRAW_MILLISECONDS)
  const silenceTimer = setInterval(() => (isDirty = true), SILENCE_MILLISECONDS)
  return {
    say(text) {
      note = text
      isDirty = true
    },
    update(run) {
      runs.set(run.id, run)
      isDirty = true
    },
    end() {
      clearInterval(timer)
      clearInterval(silenceTimer)
      draw()
      screen.end()
    },
  }
}

function urgency(run: Run): number {
  if (run.state === 'failed' || run.state === 'timed-out') return 3
  const step = currentStep(run)
  if (run.state === 'running' && step) return 2 - percent(step.bytesDone, step.bytesTotal) / 100
  return run.state === 'succeeded' ? 0 : 0.5
}

function barOf(run: Run, columns: number): string {
  if (isOver(run)) return endOf(run)
  const silence = silenceText(run, new Date())
  if (silence !== undefined) return paint('yellow', silence)
  const step = currentStep(run)
  if (run.state !== 'running' || !step) return paint('dim', waitingText(run))
  const { bytesDone, bytesTotal, bytesPerSecond } = step
  if (bytesTotal === 0) return paint('cyan', step.name)
  const left =
    bytesPerSecond > 0 ? `, ${duration((bytesTotal - bytesDone) / bytesPerSecond)} left` : ''
  const rate = `${formatBytes(Math.round(bytesPerSecond))}/s${left}`
  const text = `${String(percent(bytesDone, bytesTotal)).padStart(3)} %  ${step.name}  ${rate}`
  const room = Math.max(0, Math.min(BAR_CHARACTERS, columns - text.length - 6))
  return `${progressBar(bytesDone / bytesTotal, room)} ${text}`
}

function totals(runs: readonly Run[]): string {
  const counts = Map.groupBy(runs, ({ state }) => state)
  const parts = [...counts].map(([state, some]) => `${some.length} ${paintState(state)}`)
  return `${plural(runs.length, 'run')}: ${parts.join(', ')}`
}
