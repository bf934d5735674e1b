import { promisify } from 'node:util'
import { constants, gunzip, zstdCompress, zstdDecompress } from 'node:zlib'
import { hash as digestOf } from 'node:crypto'
import { Value } from 'typebox/value'
import {
  CHUNK_BYTES,
  ManifestSchema,
  decodeSegment,
  type ChunkReference,
  type Manifest,
} from '#protocol/image/image.ts'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { explainFailure, readError, withPatience, type ApiClient } from '../api-client.ts'
import { CliError, EXIT } from '../errors.ts'

/** The chunks of the server, by name: what is read is checked before anybody sees it. */
export interface RemoteChunks {
  manifest(digest: string): Promise<Manifest>
  read(hash: Sha256): Promise<Buffer>
  /** What each chunk of the image is, segment by segment. */
  references(manifest: Manifest): AsyncGenerator<ChunkReference>
  missing(hashes: readonly Sha256[]): Promise<Set<Sha256>>
  /** Sends what it compresses to; returns how many bytes that were. */
  put(hash: Sha256, bytes: Uint8Array): Promise<number>
}

/** A server that is away is waited for so long; what arrived is not sent again. */
export const OUTAGE_SECONDS = 300
/** RFC 8878, 3.1.1: magic number of a zstd frame. */
const ZSTD_MAGIC = 0xfd2fb528
const CHUNK_TIMEOUT_MILLISECONDS = 60_000
const LEVEL = 1
const CORRUPT_TRIES = 3

const compress = promisify(zstdCompress)
const inflateGzip = promisify(gunzip)
const inflateZstd = promisify(zstdDecompress)
/** Of the output: never more than a chunk, whatever was sent. */
const INFLATE = { chunkSize: CHUNK_BYTES + 1, maxOutputLength: CHUNK_BYTES }

export function sha256(bytes: Uint8Array): Sha256 {
  return parseSha256(digestOf('sha256', bytes, 'hex'))
}

/** On libuv's thread pool, beside other work. */
export async function hashChunk(bytes: Uint8Array): Promise<Sha256> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return parseSha256(Buffer.from(digest).toString('hex'))
}

const ZEROS = Buffer.alloc(CHUNK_BYTES)

export function isZero(bytes: Uint8Array): boolean {
  return ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0
}

export function openRemoteChunks(
  api: ApiClient,
  { signal, onRetry }: { signal: AbortSignal; onRetry: (text: string) => void },
): RemoteChunks {
  const patience = {
    signal,
    outageSeconds: OUTAGE_SECONDS,
    onRetry: (err: Error) => onRetry(`${err.message}; trying again`),
  }

  async function readBytes(path: string): Promise<Buffer> {
    return await withPatience(patience, async () => {
      try {
        const limit = AbortSignal.timeout(CHUNK_TIMEOUT_MILLISECONDS)
        const response = await api.fetch('GET', path, {}, limit)
        if (!response.ok) throw readError(response, await response.text(), path)
        return Buffer.from(await response.arrayBuffer())
      } catch (err) {
        throw explainFailure(err, api.server, signal)
      }
    })
  }

  async function read(hash: Sha256): Promise<Buffer> {
    for (let tries = 1; ; tries++) {
      const bytes = await inflate(await readBytes(`/chunks/${hash}?direct=1`)).catch(
        () => undefined,
      )
      if (bytes && (await hashChunk(bytes)) === hash) return bytes
      // A bit may flip on the way; one that flipped in the store stays so.
      if (tries === CORRUPT_TRIES)
        throw new CliError(EXIT.failed, `Chunk ${hash} of the server is damaged`)
    }
  }

  return {
    read,
    async manifest(digest) {
      const bytes = await readBytes(`/images/by-digest/${digest}`)
      const manifest: unknown = JSON.parse(bytes.toString())
      if (sha256(bytes) !== digest || !Value.Check(ManifestSchema, manifest))
        throw new CliError(EXIT.failed, `What the server sent is not the manifest ${digest}`)
      return manifest
    },
    async *references({ sizeBytes, segments, segmentChunks, chunkBytes }) {
      let left = Math.ceil(sizeBytes / chunkBytes)
      for (const segment of segments) {
        const count = Math.min(segmentChunks, left)
        left -= count
        if (segment === null) {
          for (let index = 0; index < count; index++) yield 'zero'
          continue
        }
        const references = decodeSegment(await read(parseSha256(segment)))
        if (references.length !== count)
          throw new CliError(EXIT.failed, `Segment ${segment} has another length than it should`)
        yield* references
      }
    },
    async missing(hashes) {
      const answer = await withPatience(patience, () =>
        api.call<{ missing: string[] }>('POST', '/chunks/missing', { json: { sha256: hashes } }),
      )
      return new Set(answer.missing.map(parseSha256))
    },
    async put(hash, bytes) {
      const body = await compress(bytes, {
        // Where it fills its buffer exactly, zlib (Node 24.21) puts an empty frame behind the first.
        chunkSize: LONGEST_STORED_BYTES,
        pledgedSrcSize: bytes.length, // the server wants the length in the frame's header
        params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
      })
      const headers = { 'content-type': 'application/zstd' }
      await withPatience(patience, () =>
        api.call('PUT', `/chunks/${hash}`, { body: body as Buffer<ArrayBuffer>, headers }),
      )
      return body.length
    },
  }
}

async function inflate(stored: Buffer): Promise<Buffer> {
  const isZstd = stored.length >= 4 && stored.readUInt32LE() === ZSTD_MAGIC
  return isZstd ? await inflateZstd(stored, INFLATE) : await inflateGzip(stored, INFLATE)
}
