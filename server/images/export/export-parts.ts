/** A part of an export whose length is known before its bytes are. */
export type ExportPart = { length: number; load: () => Promise<Uint8Array | LentBytes> }

/** Bytes that somebody else uses again after `release`. */
export type LentBytes = { bytes: Uint8Array; release: () => void }

/** Parts read ahead of the client, about 1 MiB at most each. */
const READ_AHEAD = 4

/**
 * Bytes `[start, end)` of what the parts make together; those beyond are not loaded. If parts lend
 * theirs, they are good until the next are asked for.
 */
export async function* readParts(
  parts: AsyncIterable<ExportPart>,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<LentBytes>[] = []
  let partEnd = 0
  try {
    for await (const { length, load } of parts) {
      const partStart = partEnd
      partEnd += length
      if (partEnd <= start) continue
      if (partStart >= end) break
      const from = Math.max(0, start - partStart)
      const loading = load().then((whole) => cut(whole, from, end - partStart))
      loading.catch(() => {}) // awaited in its turn, or never if the client leaves
      ahead.push(loading)
      if (ahead.length >= READ_AHEAD) yield* lend(ahead)
    }
    while (ahead.length > 0) yield* lend(ahead)
  } finally {
    for (const part of ahead) void part.then(({ release }) => release()).catch(() => {})
  }
}

function cut(whole: Uint8Array | LentBytes, start: number, end: number): LentBytes {
  return whole instanceof Uint8Array
    ? { bytes: whole.subarray(start, end), release: () => {} }
    : { bytes: whole.bytes.subarray(start, end), release: whole.release }
}

async function* lend(ahead: Promise<LentBytes>[]): AsyncGenerator<Uint8Array> {
  const { bytes, release } = await ahead.shift()!
  try {
    yield bytes
  } finally {
    release()
  }
}

/** Many of them in one, which lies before what is asked for. */
export function skippedPart(length: number): ExportPart {
  return { length, load: () => Promise.reject(new Error('Skipped parts are not read')) }
}
