import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib'
import {
  CHUNK_BYTES,
  HASH_BYTES,
  SEGMENT_CHUNKS,
  encodeManifest,
  encodeSegment,
  type ChunkReference,
} from '#protocol/image/image.ts'
import { isZero, sha256 } from '#agent/chunks/content.ts'
import type { Sha256 } from '#protocol/sha256.ts'

type Fault = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * The image routes over memory, with faults to order: what the agent meets when a real store is
 * damaged or a connection breaks.
 */
export interface ChunkServer extends AsyncDisposable {
  readonly url: string
  readonly chunks: Map<string, Buffer>
  readonly manifests: Map<string, Buffer>
  readonly images: Map<string, { digest: Sha256; info?: unknown }>
  /** Uploads counted, present ones included. */
  puts(): number
  /** Stores `disk` as an image; places in `unused` (chunk numbers) become unused chunks. */
  addImage(disk: Buffer, options?: { sectorBytes?: 512 | 4096; unused?: number[] }): Sha256
  /** Asked first for each request; true: the fault has dealt with it. */
  fault: Fault | undefined
}

export async function openChunkServer(): Promise<ChunkServer> {
  const state = {
    chunks: new Map<string, Buffer>(),
    manifests: new Map<string, Buffer>(),
    images: new Map<string, { digest: Sha256; info?: unknown }>(),
    fault: undefined as Fault | undefined,
    putCount: 0,
  }
  const server = createServer((request, response) => {
    if (state.fault?.(request, response)) return
    answer(state, request, response).catch((err) => response.writeHead(500).end(String(err)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    chunks: state.chunks,
    manifests: state.manifests,
    images: state.images,
    puts: () => state.putCount,
    get fault() {
      return state.fault
    },
    set fault(fault) {
      state.fault = fault
    },
    addImage: (disk, options = {}) => addImage(state, disk, options),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type State = {
  chunks: Map<string, Buffer>
  manifests: Map<string, Buffer>
  images: Map<string, { digest: Sha256; info?: unknown }>
  putCount: number
}

function addImage(
  state: State,
  disk: Buffer,
  options: { sectorBytes?: 512 | 4096; unused?: number[] },
): Sha256 {
  const references: ChunkReference[] = []
  for (let at = 0; at < disk.length; at += CHUNK_BYTES) {
    const chunk = disk.subarray(at, at + CHUNK_BYTES)
    if (options.unused?.includes(at / CHUNK_BYTES)) references.push('unused')
    else references.push(isZero(chunk) ? 'zero' : store(state, chunk))
  }
  const segments: (Sha256 | null)[] = []
  for (let at = 0; at < references.length; at += SEGMENT_CHUNKS) {
    const part = references.slice(at, at + SEGMENT_CHUNKS)
    const isZero = part.every((reference) => reference === 'zero')
    segments.push(isZero ? null : store(state, encodeSegment(part)))
  }
  const { sectorBytes = 512 } = options
  const manifest = encodeManifest({ sizeBytes: disk.length, sectorBytes, segments })
  const digest = sha256(manifest)
  state.manifests.set(digest, Buffer.from(manifest))
  return digest
}

function store(state: State, bytes: Uint8Array): Sha256 {
  const hash = sha256(bytes)
  state.chunks.set(hash, gzipSync(bytes, { level: 1 }))
  return hash
}

async function answer(state: State, request: IncomingMessage, response: ServerResponse) {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
  const [, ...path] = pathname.split('/')
  const route = `${request.method} ${path.slice(0, -1).join('/')}`
  const name = path.at(-1)!
  const body = await bodyOf(request)
  const json = (status: number, value: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  const notFound = () => json(404, { error: { code: 'not-found', message: `No ${name} here` } })
  if (route === 'GET images/by-digest' || route === 'GET chunks') {
    const found = (route === 'GET chunks' ? state.chunks : state.manifests).get(name)
    return found ? response.end(found) : notFound()
  }
  if (route === 'POST chunks') {
    const { sha256: asked } = JSON.parse(body.toString()) as { sha256: string[] }
    return json(200, { missing: asked.filter((hash) => !state.chunks.has(hash)) })
  }
  if (route === 'PUT chunks') {
    state.putCount++
    if (sha256(inflate(body)) !== name) return json(422, { error: { message: 'Wrong hash' } })
    state.chunks.set(name, body)
    return json(201, {})
  }
  if (route === 'HEAD chunks') return response.writeHead(state.chunks.has(name) ? 200 : 404).end()
  if (name === 'manifest') {
    const info = state.chunks.get(searchParams.get('info') ?? '')
    return commit(state, { name: path.at(-2)!, info }, body, json)
  }
  return notFound()
}

function commit(
  state: State,
  { name, info }: { name: string; info: Buffer | undefined },
  manifest: Buffer,
  json: (status: number, value: unknown) => void,
): void {
  const { segments } = JSON.parse(manifest.toString()) as { segments: (string | null)[] }
  const missing: string[] = []
  for (const segment of segments) {
    if (segment === null) continue
    const stored = state.chunks.get(segment)
    if (!stored) missing.push(segment)
    else missing.push(...missingOf(state, inflate(stored)))
  }
  if (missing.length > 0) return json(409, { missing })
  const digest = sha256(manifest)
  state.manifests.set(digest, manifest)
  state.images.set(name, { digest, ...(info && { info: JSON.parse(inflate(info).toString()) }) })
  return json(201, { name, digest })
}

function missingOf(state: State, segment: Buffer): string[] {
  const missing: string[] = []
  for (let at = 0; at < segment.length; at += HASH_BYTES) {
    const hash = segment.toString('hex', at, at + HASH_BYTES)
    if (!/^(00|ff)+$/.test(hash) && !state.chunks.has(hash)) missing.push(hash)
  }
  return missing
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

/** A chunk is a gzip member or a zstd frame. */
export function inflate(stored: Uint8Array): Buffer {
  return stored[0] === 0x1f ? gunzipSync(stored) : zstdDecompressSync(stored)
}
