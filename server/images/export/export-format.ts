import { plainFrameLength, zeroFrame } from '../codec/plain-frame.ts'
import { zeroMember } from '../codec/zero-member.ts'
import type { Codec } from '../store/chunk-store.ts'
import { STAMP_HEAD_BYTES, encodeStamp, type ExportStamp } from './export-stamp.ts'
import { memberLength, type LayoutEntry } from './layout.ts'
import { encodeFrameStamp, FRAME_STAMP_BYTES } from './frame-stamp.ts'

/** One of the files that an image can be taken out as; its codec is that of the chunks that pass as they are. */
export interface ExportFormat {
  codec: Codec
  suffix: string
  mediaType: string
  /** Of what comes before the content. */
  stampBytes: number
  stamp: (stamp: ExportStamp) => Uint8Array
  /** Of what a chunk becomes. */
  length: (entry: LayoutEntry, contentBytes: number) => number
  zeros: (contentBytes: number) => Uint8Array
}

export const GZIP_EXPORT: ExportFormat = {
  codec: 'gzip',
  suffix: '.img.gz',
  mediaType: 'application/gzip',
  // An empty member after its header: two bytes of deflate and the trailer.
  stampBytes: STAMP_HEAD_BYTES + 2 + 8,
  stamp: encodeStamp,
  length: memberLength,
  zeros: zeroMember,
}

export const ZSTD_EXPORT: ExportFormat = {
  codec: 'zstd',
  suffix: '.img.zst',
  mediaType: 'application/zstd',
  stampBytes: FRAME_STAMP_BYTES,
  stamp: encodeFrameStamp,
  length(entry, contentBytes) {
    switch (entry.kind) {
      case 'zero':
        return zeroFrame(contentBytes).length
      case 'gzip':
        return plainFrameLength(contentBytes)
      case 'zstd':
        return entry.storedBytes
    }
  },
  zeros: zeroFrame,
}

export const EXPORT_FORMATS = [GZIP_EXPORT, ZSTD_EXPORT] as const
