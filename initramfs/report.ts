/** Tells the person who waits what is being done. */
export function report(message: string): void {
  process.stdout.write(`initramfs: ${message}\n`)
}

export function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** A line every 20 %, so that a long step is seen to move, in a log file too. */
export function createProgress(message: string): (part: number) => void {
  const step = 0.2
  let next = step
  return (part) => {
    if (part < next) return
    report(`${message}: ${Math.floor(part * 100)} %`)
    while (next <= part) next += step
  }
}
