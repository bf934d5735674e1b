import { type ExportStamp, findStamp, STAMP_HEAD_BYTES } from '../export/export-stamp.ts'
import { findFrameStamp } from '../export/frame-stamp.ts'
import { ByteInput } from './byte-input.ts'
import type { Piece } from './chunk-cutter.ts'
import { decompressWithProgram } from './decompress-program.ts'
import { gunzip, unzstd } from './decompress.ts'
import { readExportFrames } from './export-frames.ts'
import { ImageRefusedError } from './import-error.ts'
import { type Qcow2Options, readQcow2 } from './qcow2.ts'
import {
  FORMAT_BYTES,
  unsupportedContainer,
  uploadFormat,
  type UploadFormat,
} from './upload-format.ts'

export type DecodedUpload = {
  format: UploadFormat
  /** Of our own export: what must come out. */
  stamp: ExportStamp | undefined
  pieces: AsyncIterable<Piece>
}

/** The disk content of an upload, whatever it is wrapped in. Throws ImageRefusedError. */
export async function decodeUpload(
  input: ByteInput,
  options: Qcow2Options,
): Promise<DecodedUpload> {
  const head = await input.peek(FORMAT_BYTES)
  const format = uploadFormat(head)
  const stamp = stampOf(head, format)
  switch (format) {
    case 'raw':
    case 'qcow2':
      return { format, stamp, pieces: readDisk(input, options) }
    case 'gzip':
      return { format, stamp, pieces: unwrapped(gunzip(input), options) }
    case 'zstd':
      return {
        format,
        stamp,
        pieces: stamp ? readExportFrames(input) : unwrapped(unzstd(input), options),
      }
    case 'xz':
    case 'bzip2':
      return { format, stamp, pieces: unwrapped(decompressWithProgram(input, format), options) }
  }
}

function stampOf(head: Uint8Array, format: UploadFormat): ExportStamp | undefined {
  if (format === 'gzip') return findStamp(head.subarray(0, STAMP_HEAD_BYTES))
  return format === 'zstd' ? findFrameStamp(head) : undefined
}

/** A compressed qcow2 is common, one compression in another an accident. */
async function* unwrapped(
  content: AsyncIterable<Uint8Array>,
  options: Qcow2Options,
): AsyncGenerator<Piece> {
  await using input = new ByteInput(content)
  const format = uploadFormat(await input.peek(FORMAT_BYTES))
  if (format !== 'raw' && format !== 'qcow2')
    throw unsupported(`a compressed ${format} file; unpack it once`)
  yield* readDisk(input, options)
}

async function* readDisk(input: ByteInput, options: Qcow2Options): AsyncGenerator<Piece> {
  const head = await input.peek(FORMAT_BYTES)
  if (uploadFormat(head) === 'qcow2') {
    yield* readQcow2(input, options)
    return
  }
  const container = unsupportedContainer(head)
  if (container) throw unsupported(`${container}; convert it with "qemu-img convert -O raw"`)
  yield* input
}

function unsupported(what: string): ImageRefusedError {
  return new ImageRefusedError('unsupported-format', `The upload is ${what}`)
}
