/** What a rate chart is drawn from. Kept small: a run of hours is not drawn second by second. */
export interface RateSample {
  /** Milliseconds since 1970. */
  at: number
  step: string
  bytesPerSecond: number
}

/** As many points as a small chart shows. */
export const MAX_SAMPLES = 240

/**
 * The samples with one more. When there are too many, every second one goes, so that the chart
 * always shows the whole time that somebody looked.
 */
export function addSample(samples: readonly RateSample[], sample: RateSample): RateSample[] {
  const last = samples.at(-1)
  if (last && sample.at <= last.at) return [...samples]
  const next = [...samples, sample]
  return next.length <= MAX_SAMPLES ? next : next.filter((_, index) => index % 2 === 1)
}
