import { useEffect, useState } from 'react'
import type { Run } from '#protocol/run/run.ts'
import { addSample, type RateSample } from './rate-samples.ts'
import { currentStep } from './run-words.ts'

/** The rates of the run since the page was opened. */
export function useRateSamples(run: Run): RateSample[] {
  const [samples, setSamples] = useState<RateSample[]>([])
  const step = currentStep(run)
  const { name, state, bytesDone = 0, bytesTotal = 0, bytesPerSecond = 0 } = step ?? {}
  useEffect(() => {
    if (name === undefined || state !== 'running' || bytesTotal === 0) return
    const sample = { at: Date.now(), step: name, bytesPerSecond }
    setSamples((known) => addSample(known, sample))
  }, [name, state, bytesDone, bytesTotal, bytesPerSecond])
  return samples
}
