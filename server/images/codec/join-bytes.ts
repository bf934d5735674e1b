/** The parts one after the other: in new memory, or at the start of `target`, of which that part is returned. */
export function joinBytes(parts: readonly Uint8Array[], target?: Uint8Array): Uint8Array {
  if (!target) return Buffer.concat(parts)
  let length = 0
  for (const part of parts) {
    target.set(part, length)
    length += part.length
  }
  return target.subarray(0, length)
}
