/** A chunk that the disk holds at one place and that belongs to another. */
export interface Move {
  from: number
  to: number
}

/**
 * The moves in waves: those of a wave may be done at once, and no place is written over before all
 * that is to be copied from it was. Of moves in a circle one is left out, which opens it.
 */
export function* moveWaves(moves: readonly Move[]): Generator<Move[]> {
  const readers = new Map<number, number>()
  for (const { from } of moves) readers.set(from, (readers.get(from) ?? 0) + 1)
  const waiting = new Map(moves.map((move) => [move.to, move]))

  /** What may be written as soon as these were read. */
  function released(read: readonly Move[]): Move[] {
    const free: Move[] = []
    for (const { from } of read) {
      const left = readers.get(from)! - 1
      readers.set(from, left)
      const move = waiting.get(from)
      if (left > 0 || !move) continue
      waiting.delete(from)
      free.push(move)
    }
    return free
  }

  let wave = moves.filter(({ to }) => (readers.get(to) ?? 0) === 0)
  for (const { to } of wave) waiting.delete(to)
  for (;;) {
    while (wave.length > 0) {
      yield wave
      wave = released(wave)
    }
    const [circle] = waiting.values()
    if (!circle) return
    waiting.delete(circle.to)
    wave = released([circle])
  }
}
