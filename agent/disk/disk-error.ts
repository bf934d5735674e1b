const REASONS: Record<string, string> = {
  EIO: 'the disk reports an error; replace it or its cable',
  ENODATA: 'the disk reports an error; replace it or its cable',
  EILSEQ: 'the disk reports an error; replace it or its cable',
  EREMOTEIO: 'the disk reports an error; replace it or its cable',
  ENXIO: 'the disk is gone; look at its cable',
  ENODEV: 'the disk is gone; look at its cable',
  ENOSPC: 'the disk has no room left, although it claims to be larger; enlarge what is below it',
}

/** A disk did not do what it was asked; `code` is the kernel's, such as `EIO`. */
export class DiskError extends Error {
  override name = 'DiskError'
  readonly code: string | undefined

  /** `attempt` is what it could not do: `write at byte 512`. */
  constructor(path: string, attempt: string, cause: unknown) {
    const { code, message } = cause as NodeJS.ErrnoException
    const reason = (code !== undefined && REASONS[code]) || message
    super(`Disk "${path}" could not ${attempt}: ${reason}`, { cause })
    this.code = code
  }
}
