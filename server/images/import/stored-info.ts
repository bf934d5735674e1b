import { Value } from 'typebox/value'
import { type ImageInfo, ImageInfoSchema } from '#protocol/image/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { readContent } from '../store/chunk-codec.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import { ImageRefusedError } from './import-error.ts'

/**
 * What is known of an image, put as a chunk before its commit, which names the chunk: so that no image
 * is there without. Throws ImageRefusedError for anything else, or an error of the store.
 */
export async function readStoredInfo(store: ChunkStore, hash: Sha256): Promise<ImageInfo> {
  const info = parseJson(await readContent(store, hash))
  if (Value.Check(ImageInfoSchema, info)) return Value.Clean(ImageInfoSchema, info) as ImageInfo
  const [error] = Value.Errors(ImageInfoSchema, info)
  throw new ImageRefusedError(
    'refused-info',
    `Chunk ${hash} does not say what is known of an image: ${error?.instancePath} ${error?.message}`,
  )
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}
