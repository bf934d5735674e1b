import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { codecOf } from '#server/images/store/chunk-codec.ts'
import {
  ChunkMissingError,
  type ChunkStore,
  type StoredChunk,
} from '#server/images/store/chunk-store.ts'

/** Where lost chunks may be found again; nothing that comes from there is believed. */
export interface HealSource {
  /** For people. */
  name: string
  fetch(hash: Sha256): Promise<StoredChunk | undefined>
}

const ANSWER_MILLISECONDS = 30_000

/** Another Stampede server. */
export function createServerSource(url: string, token: string | undefined): HealSource {
  return {
    name: url,
    async fetch(hash) {
      const response = await fetch(`${url}/chunks/${hash}`, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(ANSWER_MILLISECONDS),
      })
      if (response.status === 404) {
        await response.body?.cancel()
        return undefined
      }
      if (!response.ok) throw new Error(`${url} answers ${response.status} for chunk ${hash}`)
      const bytes = await readBounded(response)
      const codec = codecOf(bytes)
      if (!codec) throw new Error(`What ${url} sent is no chunk`)
      return { codec, bytes }
    },
  }
}

async function readBounded(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    length += part.length
    if (length > LONGEST_STORED_BYTES) throw new Error('What was sent is longer than a chunk')
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** Another place where chunks are kept. */
export function createStoreSource(name: string, store: ChunkStore): HealSource {
  return {
    name,
    fetch: (hash) =>
      store.read(hash).catch((err: unknown) => {
        if (err instanceof ChunkMissingError) return undefined
        throw err
      }),
  }
}
