import { MultiBar, Presets } from 'cli-progress'
import type { Run, Step } from '#protocol/run/run.ts'

/** How often a step's progress is repeated where lines cannot be redrawn. */
const LINE_INTERVAL_MS = 10_000
const MB = 1_000_000

/** A terminal, or whatever stands in its place. */
export type OutputStream = NodeJS.WritableStream & { isTTY?: boolean }

export type LiveView = Disposable & {
  /** A line of the story, with the seconds since the start. */
  say: (text: string) => void
  /** Follows a run: give it each state of the run that is seen. */
  follow: (label: string) => (run: Run) => void
}

/** Tells what happens: with bars where the terminal can redraw lines, else in plain lines. */
export function createLiveView(stream: OutputStream): LiveView {
  const started = Date.now()
  const say = (text: string) => {
    const seconds = Math.round((Date.now() - started) / 1000)
    stream.write(`${String(seconds).padStart(4)} s  ${text}\n`)
  }
  return {
    say,
    follow: (label) => (stream.isTTY ? drawBars(stream, label) : printLines(say, label)),
    [Symbol.dispose]: () => undefined,
  }
}

function printLines(say: (text: string) => void, label: string): (run: Run) => void {
  let last = ''
  let saidAt = 0
  return (run) => {
    const step = currentStep(run)
    const key = `${run.state} ${step?.name ?? ''} ${step?.state ?? ''}`
    const isNews = key !== last
    if (!isNews && Date.now() - saidAt < LINE_INTERVAL_MS) return
    if (!isNews && !step?.bytesTotal) return
    last = key
    saidAt = Date.now()
    say(`${label}: ${run.state}${step ? `, ${describeStep(step)}` : ''}`)
  }
}

function drawBars(stream: OutputStream, label: string): (run: Run) => void {
  const format = `       {label}: {step} [{bar}] {percentage}% {rate}`
  const bars = new MultiBar({ format, stream, hideCursor: true }, Presets.shades_classic)
  const barOfStep = new Map<string, ReturnType<MultiBar['create']>>()
  let ended = false
  return (run) => {
    for (const step of run.steps) {
      if (step.state === 'pending') continue
      let bar = barOfStep.get(step.name)
      const total = step.bytesTotal || 1
      bar ??= bars.create(total, 0, { label, step: step.name.padEnd(14), rate: '' })
      barOfStep.set(step.name, bar)
      bar.setTotal(total)
      const done = isOver(step) ? total : step.bytesDone
      bar.update(done, { rate: isOver(step) ? step.state : rate(step) })
    }
    if (run.finishedAt && !ended) {
      ended = true
      bars.stop()
    }
  }
}

function currentStep(run: Run): Step | undefined {
  return run.steps.findLast((step) => step.state !== 'pending')
}

function isOver(step: Step): boolean {
  return step.state !== 'pending' && step.state !== 'running'
}

function describeStep(step: Step): string {
  if (isOver(step) || step.bytesTotal === 0) return `${step.name} ${step.state}`
  const percent = Math.floor((100 * step.bytesDone) / step.bytesTotal)
  return `${step.name} ${percent} % of ${Math.round(step.bytesTotal / MB)} MB, ${rate(step)}`
}

function rate(step: Step): string {
  return step.bytesPerSecond > 0 ? `${Math.round(step.bytesPerSecond / MB)} MB/s` : ''
}
