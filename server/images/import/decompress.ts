import { once } from 'node:events'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { SKIPPABLE_HEADER_BYTES, skippableLength } from '../codec/plain-frame.ts'
import { isZero } from '../codec/zero-content.ts'
import type { ByteInput } from './byte-input.ts'
import { ImageRefusedError } from './import-error.ts'

type Decoder = Gunzip | ZstdDecompress

const OUTPUT_BYTES = 262_144
/** Parts of the input that are compared with zeros at once. */
const PADDING_BYTES = 65_536

/**
 * Content of a gzip file of one or many members. Padding with zeros after the last is allowed, as
 * tapes and block devices leave it; anything else that follows is refused.
 */
export async function* gunzip(input: ByteInput): AsyncGenerator<Uint8Array> {
  yield* decodeOnce(input, createGunzip({ chunkSize: OUTPUT_BYTES }), 'gzip')
  // zlib goes on with a next member by itself, and stops in silence at a zero byte.
  for await (const rest of input) {
    for (let start = 0; start < rest.length; start += PADDING_BYTES)
      if (!isZero(rest.subarray(start, start + PADDING_BYTES)))
        throw corrupt('gzip', 'something other than zeros follows its end')
  }
}

/** Content of a zstd file of one or many frames. */
export async function* unzstd(input: ByteInput): AsyncGenerator<Uint8Array> {
  // Node's decoder stops in silence after a frame, so the next one gets its own.
  for (;;) {
    const head = await input.peek(SKIPPABLE_HEADER_BYTES)
    if (head.length === 0) return
    const skipped = skippableLength(head)
    if (skipped !== undefined) await skip(input, SKIPPABLE_HEADER_BYTES + skipped)
    else yield* decodeOnce(input, createZstdDecompress({ chunkSize: OUTPUT_BYTES }), 'zstd')
  }
}

async function skip(input: ByteInput, count: number): Promise<void> {
  for (let rest = count; rest > 0;) {
    const bytes = await input.next()
    if (!bytes) throw corrupt('zstd', 'it ends within a skippable frame')
    input.unshift(bytes.subarray(rest))
    rest -= Math.min(rest, bytes.length)
  }
}

/** Runs until the decoder or the input ends; what the decoder left is put back. */
async function* decodeOnce(
  input: ByteInput,
  decoder: Decoder,
  format: string,
): AsyncGenerator<Uint8Array> {
  let sourceError: unknown
  const fed = feed(input, decoder).catch((err: unknown) => {
    sourceError = err
    decoder.destroy()
  })
  try {
    yield* decoder as AsyncIterable<Buffer>
    await fed
  } catch (cause) {
    throw sourceError ?? corrupt(format, (cause as Error).message, { cause })
  } finally {
    // Not awaited: it may be waiting for an uploader that need not send any more.
    decoder.destroy()
  }
  if (sourceError !== undefined) throw sourceError
}

async function feed(input: ByteInput, decoder: Decoder): Promise<void> {
  const ended = Promise.race([once(decoder, 'end'), once(decoder, 'close')]).catch(() => {})
  let fedBytes = 0
  while (!decoder.destroyed) {
    const bytes = await input.next()
    if (!bytes) {
      decoder.end()
      return
    }
    fedBytes += bytes.length
    const written = new Promise<void>((resolve) => decoder.write(bytes, () => resolve()))
    await Promise.race([written, ended])
    // `bytesWritten` is what the decoder made use of: less than it got means that it is done, which
    // shows in nothing else before its output was read.
    if (decoder.bytesWritten === fedBytes) continue
    input.unshift(bytes.subarray(bytes.length - (fedBytes - decoder.bytesWritten)))
    return
  }
}

export function corrupt(format: string, reason: string, options?: ErrorOptions): ImageRefusedError {
  return new ImageRefusedError(
    'corrupt-upload',
    `The ${format} stream is damaged or cut short (${reason}); upload the file again`,
    options,
  )
}
