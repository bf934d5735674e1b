/** Why content cannot become an image: the uploader's to mend, and what to do is in the message. */
export class ImageRefusedError extends Error {
  override name = 'ImageRefusedError'
  readonly code: ImageRefusal
  constructor(code: ImageRefusal, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export type ImageRefusal =
  | 'empty-image'
  | 'odd-size'
  | 'image-too-large'
  | 'corrupt-upload'
  | 'unsupported-format'
  | 'refused-qcow2'
  | 'not-the-whole-disk'
  | 'wrong-checksum'
  | 'refused-url'
  | 'refused-info'
