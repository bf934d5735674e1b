/**
 * Where the bytes of a logical volume lie, pure. One piece after the other; a striped piece deals its bytes to its
 * areas in turn, `stripeBytes` at a time. Starts of areas count from wherever the caller counts.
 */
export interface LayoutSegment {
  /** Place in the volume. */
  at: number
  sizeBytes: number
  /** Of a linear segment, its size. */
  stripeBytes: number
  /** One of a linear segment. */
  areas: readonly number[]
}

export interface PlacedSpan {
  /** Place in the volume. */
  at: number
  start: number
  end: number
}

/** Where `[start, end)` of the volume lies, in the volume's order. */
export function* placesOf(
  segments: readonly LayoutSegment[],
  start: number,
  end: number,
): Generator<PlacedSpan> {
  for (const segment of segments) {
    const last = Math.min(end, segment.at + segment.sizeBytes)
    for (let at = Math.max(start, segment.at); at < last;) {
      const { stripeBytes, areas } = segment
      const inside = at - segment.at
      const stripe = Math.floor(inside / stripeBytes)
      const from =
        areas[stripe % areas.length]! +
        Math.floor(stripe / areas.length) * stripeBytes +
        (inside % stripeBytes)
      const bytes = Math.min(last - at, stripeBytes - (inside % stripeBytes))
      yield { at, start: from, end: from + bytes }
      at += bytes
    }
  }
}

/** The same without an order: a span has no more than one place in each area, however many stripes it covers. */
export function areaSpans(
  segment: LayoutSegment,
  start: number,
  end: number,
): { area: number; start: number; end: number }[] {
  const first = Math.max(0, start - segment.at)
  const last = Math.min(segment.sizeBytes, end - segment.at)
  if (first >= last) return []
  return segment.areas.flatMap((base, area) => {
    const from = bytesBefore(segment, area, first)
    const to = bytesBefore(segment, area, last)
    return from < to ? [{ area, start: base + from, end: base + to }] : []
  })
}

/** How many of the first `bytes` of a segment are in this area. */
function bytesBefore({ stripeBytes, areas }: LayoutSegment, area: number, bytes: number): number {
  const row = stripeBytes * areas.length
  const rest = (bytes % row) - area * stripeBytes
  return Math.floor(bytes / row) * stripeBytes + Math.min(stripeBytes, Math.max(0, rest))
}

/** The other way around: what of the volume a part `[start, end)` of an area holds, counted as the areas are. */
export function* volumePlaces(
  { at, stripeBytes, areas }: LayoutSegment,
  area: number,
  span: { start: number; end: number },
): Generator<PlacedSpan> {
  const base = areas[area]!
  for (let start = span.start; start < span.end;) {
    const inside = start - base
    const row = Math.floor(inside / stripeBytes)
    const bytes = Math.min(span.end - start, stripeBytes - (inside % stripeBytes))
    const place = at + (row * areas.length + area) * stripeBytes + (inside % stripeBytes)
    yield { at: place, start, end: start + bytes }
    start += bytes
  }
}
