/**
 * Byte ranges of a disk: `[start, end, start, end, …]` in ascending order, none empty, none
 * touching the next. A flat array, because a worn file system has millions of them.
 */
export type Extents = Float64Array

export interface ByteSpan {
  start: number
  end: number
}

export const NONE: Extents = new Float64Array(0)

/** 16 MB. A file system in more pieces is read with the smallest of its gaps. */
export const MAX_SPANS = 1_000_000

/**
 * Takes spans in ascending order and joins those that touch or overlap. From `maxSpans` on, it joins
 * those with the smallest gaps between them, too.
 */
export function createExtentsBuilder(maxSpans = Infinity) {
  let edges = new Float64Array(64)
  let length = 0

  function makeRoom(): void {
    if (length / 2 < maxSpans) return grow()
    // Half of it, or the next spans would have it done again.
    const fewer = coarsen(edges.subarray(0, length), maxSpans / 2)
    edges.set(fewer)
    length = fewer.length
  }

  function grow(): void {
    const larger = new Float64Array(edges.length * 2)
    larger.set(edges)
    edges = larger
  }

  return {
    add(start: number, end: number): void {
      if (end <= start) return
      if (length > 0 && start <= edges[length - 1]!) {
        if (start < edges[length - 2]!)
          throw new RangeError(`Byte ${start} comes after byte ${edges[length - 2]} was added`)
        edges[length - 1] = Math.max(edges[length - 1]!, end)
        return
      }
      if (length + 2 > edges.length || length / 2 >= maxSpans) makeRoom()
      edges[length++] = start
      edges[length++] = end
    },
    build: (): Extents => edges.slice(0, length),
  }
}

/** In any order, overlapping as they may. */
export function extentsOf(spans: readonly ByteSpan[]): Extents {
  const builder = createExtentsBuilder()
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) builder.add(start, end)
  return builder.build()
}

/** What is in either. */
export function union(one: Extents, other: Extents): Extents {
  const builder = createExtentsBuilder()
  for (let a = 0, b = 0; a < one.length || b < other.length;) {
    const takeOne = b >= other.length || (a < one.length && one[a]! <= other[b]!)
    if (takeOne) builder.add(one[a]!, one[(a += 2) - 1]!)
    else builder.add(other[b]!, other[(b += 2) - 1]!)
  }
  return builder.build()
}

/** What is in `from` and not in `taken`. */
export function subtract(from: Extents, taken: Extents): Extents {
  const builder = createExtentsBuilder()
  let t = 0
  for (let f = 0; f < from.length; f += 2) {
    let start = from[f]!
    const end = from[f + 1]!
    while (t < taken.length && taken[t + 1]! <= start) t += 2
    for (let u = t; u < taken.length && taken[u]! < end; u += 2) {
      builder.add(start, taken[u]!)
      start = taken[u + 1]!
    }
    builder.add(start, end)
  }
  return builder.build()
}

/** The same further along a disk. */
export function shift(extents: Extents, by: number): Extents {
  return extents.map((edge) => edge + by)
}

export function totalBytes(extents: Extents): number {
  let total = 0
  for (let at = 0; at < extents.length; at += 2) total += extents[at + 1]! - extents[at]!
  return total
}

/** The parts that lie in `[start, end)`. Takes logarithmic time to find the first. */
export function within(extents: Extents, { start, end }: ByteSpan): ByteSpan[] {
  const spans: ByteSpan[] = []
  for (let at = firstEndingAfter(extents, start); at < extents.length; at += 2) {
    if (extents[at]! >= end) break
    spans.push({ start: Math.max(start, extents[at]!), end: Math.min(end, extents[at + 1]!) })
  }
  return spans
}

function firstEndingAfter(extents: Extents, position: number): number {
  let low = 0
  let high = extents.length / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if (extents[2 * middle + 1]! <= position) low = middle + 1
    else high = middle
  }
  return 2 * low
}

/** No more than `maxSpans`, by counting the smallest gaps between them in. */
export function coarsen(extents: Extents, maxSpans: number): Extents {
  let result = extents
  for (let gapBytes = 4096; result.length / 2 > maxSpans; gapBytes *= 2) {
    const builder = createExtentsBuilder()
    let start = result[0]!
    let end = result[1]!
    for (let at = 2; at < result.length; at += 2) {
      if (result[at]! - end > gapBytes) {
        builder.add(start, end)
        start = result[at]!
      }
      end = result[at + 1]!
    }
    builder.add(start, end)
    result = builder.build()
  }
  return result
}
