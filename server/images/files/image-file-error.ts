export type ImageFileRefusal =
  | 'bad-path'
  | 'no-such-file'
  | 'no-such-partition'
  | 'not-a-directory'
  | 'not-a-file'
  | 'unreadable-file-system'
  | 'reader-missing'
  | 'spool-full'

/** Why a file of an image cannot be had; what to do is in the message. */
export class ImageFileError extends Error {
  override name = 'ImageFileError'
  readonly code: ImageFileRefusal
  constructor(code: ImageFileRefusal, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
