/** Of the one cell: how many are inside, and whether nobody else comes in. */
const CLOSED = 1 << 30
export const GATE_BYTES = 8

/**
 * What threads go through while they load a native library. Some, koffi among them, abort the whole
 * process when their thread is ended in the middle of it; so whoever ends threads closes the gate first.
 */
export interface LoadGate {
  /** Never returns once the gate is closed: the thread is about to be ended. */
  enter(): void
  leave(): void
  /** Lets nobody in any more, and waits until all are out, at most so long. */
  close(timeoutMilliseconds: number): void
}

/** `memory` of GATE_BYTES, the same for all threads. */
export function createLoadGate(memory: SharedArrayBuffer): LoadGate {
  const [inside, never] = [new Int32Array(memory, 0, 1), new Int32Array(memory, 4, 1)]
  function leave(): void {
    Atomics.sub(inside, 0, 1)
    Atomics.notify(inside, 0)
  }
  return {
    leave,
    enter() {
      if ((Atomics.add(inside, 0, 1) & CLOSED) === 0) return
      leave()
      Atomics.wait(never, 0, 0)
    },
    close(timeoutMilliseconds) {
      Atomics.or(inside, 0, CLOSED)
      const until = performance.now() + timeoutMilliseconds
      for (;;) {
        const now = Atomics.load(inside, 0)
        const left = until - performance.now()
        if (now === CLOSED || left <= 0) return
        Atomics.wait(inside, 0, now, left)
      }
    },
  }
}
