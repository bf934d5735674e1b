/** `[start, end)` of the representation. */
export type ByteRange = { start: number; end: number }

/**
 * What a Range header (RFC 9110 §14.2) asks of `totalBytes` bytes. `whole` also for what may be
 * ignored: another unit, several ranges, or nonsense.
 */
export function parseRange(
  header: string | undefined,
  totalBytes: number,
): ByteRange | 'whole' | 'unsatisfiable' {
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'whole'
  if (first === '') {
    const suffixBytes = Math.min(Number(last), totalBytes)
    return suffixBytes === 0
      ? 'unsatisfiable'
      : { start: totalBytes - suffixBytes, end: totalBytes }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return 'whole'
  if (start >= totalBytes) return 'unsatisfiable'
  const end = last === '' ? totalBytes : Math.min(Number(last) + 1, totalBytes)
  return { start, end }
}
