/** Of a disk, in bytes; `end` is not part of it. */
export interface ByteRange {
  start: number
  end: number
}
