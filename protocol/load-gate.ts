/** Of the one cell: how many are inside, and whether nobody else comes in. */
const CLOSED = 1 << 30
const GATE_BYTES = 8
const NAME = 'stampede.load-gate'
/** A thread that takes longer to load a library is stuck. */
const MAX_LOAD_MILLISECONDS = 5000

/**
 * What threads go through while they load a native library. Some, koffi among them, abort the whole
 * process (exit code 134) when their thread is ended in the middle of it; so a process that ends closes the
 * gate first.
 */
export interface LoadGate {
  /** Never returns once the gate is closed: the thread is about to be ended. */
  pass<Result>(load: () => Result): Result
}

/** What `node:worker_threads` has of this. */
export interface Threads {
  isMainThread: boolean
  getEnvironmentData(name: string): unknown
  setEnvironmentData(name: string, value: SharedArrayBuffer): void
}

/**
 * The one gate of a process: its main thread makes it, and closes it when `atExit` says; other threads find
 * it. Those that were started before there was one have one of their own, which nobody closes.
 */
export function openLoadGate(threads: Threads, atExit: (end: () => void) => void): LoadGate {
  if (!threads.isMainThread) {
    const memory = threads.getEnvironmentData(NAME)
    return gateAt(memory instanceof SharedArrayBuffer ? memory : new SharedArrayBuffer(GATE_BYTES))
  }
  const memory = new SharedArrayBuffer(GATE_BYTES)
  threads.setEnvironmentData(NAME, memory)
  atExit(() => closeGate(memory))
  return { pass: (load) => load() } // nobody ends this thread, and it may load while it exits
}

function cellsOf(memory: SharedArrayBuffer) {
  return { inside: new Int32Array(memory, 0, 1), never: new Int32Array(memory, 4, 1) }
}

function gateAt(memory: SharedArrayBuffer): LoadGate {
  const { inside, never } = cellsOf(memory)
  function enter(): void {
    if ((Atomics.add(inside, 0, 1) & CLOSED) === 0) return
    leave()
    Atomics.wait(never, 0, 0)
  }
  function leave(): void {
    Atomics.sub(inside, 0, 1)
    Atomics.notify(inside, 0)
  }
  return {
    pass(load) {
      enter()
      try {
        return load()
      } finally {
        leave()
      }
    },
  }
}

/** Lets nobody in any more, and waits until all are out. */
function closeGate(memory: SharedArrayBuffer): void {
  const { inside } = cellsOf(memory)
  Atomics.or(inside, 0, CLOSED)
  const until = performance.now() + MAX_LOAD_MILLISECONDS
  for (;;) {
    const now = Atomics.load(inside, 0)
    const left = until - performance.now()
    if (now === CLOSED || left <= 0) return
    Atomics.wait(inside, 0, now, left)
  }
}
