/** glibc's gnu_dev_major and gnu_dev_minor for numbers of the kernel's 12 and 20 bits, as `stat` gives them. */

export function majorOf(rdev: number): number {
  return Math.floor(rdev / 2 ** 8) & 0xfff
}

export function minorOf(rdev: number): number {
  return (rdev & 0xff) | (Math.floor(rdev / 2 ** 12) & 0xfff00)
}

/** `8:1`, as the kernel writes it in sysfs and mountinfo. */
export function deviceNumber(rdev: number): string {
  return `${majorOf(rdev)}:${minorOf(rdev)}`
}
