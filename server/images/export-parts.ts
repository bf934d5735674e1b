/** A part of an export whose length is known before its bytes are. */
export type ExportPart = { length: number; load: () => Promise<Uint8Array> }

/** Parts read ahead of the client, about 1 MiB at most each. */
const READ_AHEAD = 4

/** Bytes `[start, end)` of what the parts make together; those beyond are not loaded. */
export async function* readParts(
  parts: AsyncIterable<ExportPart>,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<Uint8Array>[] = []
  let partEnd = 0
  for await (const { length, load } of parts) {
    const partStart = partEnd
    partEnd += length
    if (partEnd <= start) continue
    if (partStart >= end) break
    const from = Math.max(0, start - partStart)
    const bytes = load().then((whole) => whole.subarray(from, end - partStart))
    bytes.catch(() => {}) // awaited in its turn, or never if the client leaves
    ahead.push(bytes)
    if (ahead.length >= READ_AHEAD) yield await ahead.shift()!
  }
  for (const bytes of ahead) yield await bytes
}

/** Many of them in one, which lies before what is asked for. */
export function skippedPart(length: number): ExportPart {
  return { length, load: () => Promise.reject(new Error('Skipped parts are not read')) }
}
