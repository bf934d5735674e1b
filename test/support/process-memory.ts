import { readFileSync, writeFileSync } from 'node:fs'

/** What a process takes of the machine's memory, as the kernel counts it. */
export interface ProcessMemory {
  bytes(): number
  /** The most since `forgetPeak`, or since its start. */
  peakBytes(): number
  forgetPeak(): void
}

export function openProcessMemory(pid: number): ProcessMemory {
  const read = (name: string) => {
    const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm')
    return Number(line.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024
  }
  return {
    bytes: () => read('VmRSS'),
    peakBytes: () => read('VmHWM'),
    // proc_pid_clear_refs(5): 5 sets the peak to what there is now.
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
  }
}
