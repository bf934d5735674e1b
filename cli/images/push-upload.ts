import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Image } from '#protocol/image/image-info.ts'
import {
  UPLOAD_OFFSET,
  UPLOAD_PIECE_MEDIA_TYPE,
  type Upload,
  type UploadRequest,
} from '#protocol/image/upload.ts'
import { explainFailure, readError, withPatience, type ApiClient } from '../api-client.ts'
import { ApiError, CliError, EXIT } from '../errors.ts'
import type { Progress } from '../text/progress.ts'
import { OUTAGE_SECONDS } from './chunks.ts'

/** Files that the server decodes itself go as they are, in pieces, one after the other. */

const PIECE_BYTES = 8 * 1024 * 1024
const PIECE_TIMEOUT_MILLISECONDS = 600_000
const POLL_MILLISECONDS = 1000
/** How often it is begun anew when the server forgot what it had. */
const MAX_STARTS = 3

export interface UploadOptions {
  api: ApiClient
  name: string
  sectorBytes: 512 | 4096 | undefined
  description: string | undefined
  promote?: boolean | undefined
  env: Record<string, string | undefined>
  progress: Progress
  signal: AbortSignal
}

/** Goes on with what an earlier call of the same began, if the server still has it. */
export async function pushUpload(path: string, options: UploadOptions): Promise<Image> {
  await using file = await open(path, 'r')
  const { size, mtimeMs } = await file.stat()
  const note = notePath(options, path, `${size} ${mtimeMs}`)
  for (let starts = 1; ; starts++) {
    const upload = (await findUpload(note, options)) ?? (await begin(path, size, note, options))
    try {
      const image = await sendPieces(file, upload, options)
      await rm(note, { force: true })
      return image
    } catch (err) {
      if (!(err instanceof ApiError)) throw err
      await rm(note, { force: true })
      // Kept for 15 minutes, and not over a restart: then from the beginning.
      if (![404, 410].includes(err.status) || starts === MAX_STARTS) throw err
      options.progress.note(`${err.message}; beginning anew`)
    }
  }
}

/** Where it is kept which upload the file is sent by; named after all that makes it the same one. */
function notePath({ api, name, env }: UploadOptions, path: string, version: string): string {
  const base = env.XDG_STATE_HOME?.startsWith('/')
    ? env.XDG_STATE_HOME
    : join(env.HOME ?? homedir(), '.local', 'state')
  const key = [api.server, name, resolve(path), version].join('\n')
  const file = createHash('sha256').update(key).digest('hex').slice(0, 32)
  return join(base, 'stampede', 'uploads', file)
}

async function findUpload(note: string, { api, progress }: UploadOptions) {
  const id = (await readFile(note, 'utf8').catch(() => '')).trim()
  if (id === '') return undefined
  try {
    const upload = await api.call<Upload>('GET', `/api/uploads/${encodeURIComponent(id)}`)
    progress.note(`Going on at byte ${upload.offset}`)
    return upload
  } catch (err) {
    await rm(note, { force: true })
    if (err instanceof ApiError) return undefined
    throw err
  }
}

async function begin(path: string, size: number, note: string, options: UploadOptions) {
  const json: UploadRequest = {
    name: options.name,
    sizeBytes: size,
    fileName: basename(path).slice(0, 255),
    ...(options.sectorBytes !== undefined && { sectorSize: options.sectorBytes }),
    ...(options.description !== undefined && { description: options.description }),
    ...(options.promote === false && { promote: false }),
  }
  const upload = await options.api.call<Upload>('POST', '/api/uploads', { json })
  await mkdir(dirname(note), { recursive: true, mode: 0o700 })
  await writeFile(note, `${upload.id}\n`, { mode: 0o600 })
  return upload
}

async function sendPieces(
  file: FileHandle,
  upload: Upload,
  options: UploadOptions,
): Promise<Image> {
  const { progress, signal } = options
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, upload.sizeBytes))
  const patience = {
    signal,
    outageSeconds: OUTAGE_SECONDS,
    onRetry: (err: Error) => progress.note(`${err.message}; trying again`),
  }
  let { offset } = upload
  while (offset < upload.sizeBytes) {
    signal.throwIfAborted()
    progress.update(offset)
    const answer = await withPatience(patience, async () => {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset)
      if (bytesRead === 0)
        throw new CliError(EXIT.failed, 'The file became shorter while it was read')
      const piece = buffer.subarray(0, Math.min(bytesRead, upload.sizeBytes - offset))
      return await sendPiece(options, upload.id, offset, piece)
    })
    if ('image' in answer) return answer.image
    offset = answer.offset
  }
  return await waitForImage(upload.id, options)
}

type PieceAnswer = { offset: number } | { image: Image }

async function sendPiece(
  { api, signal }: UploadOptions,
  id: string,
  offset: number,
  piece: Buffer<ArrayBuffer>,
): Promise<PieceAnswer> {
  const path = `/api/uploads/${id}`
  const headers = { 'content-type': UPLOAD_PIECE_MEDIA_TYPE, [UPLOAD_OFFSET]: String(offset) }
  try {
    const limit = AbortSignal.timeout(PIECE_TIMEOUT_MILLISECONDS)
    const response = await api.fetch('PATCH', path, { body: piece, headers }, limit)
    const text = await response.text()
    if (response.status === 201) return { image: JSON.parse(text) as Image }
    const next = Number(response.headers.get(UPLOAD_OFFSET) ?? NaN)
    // 409: another piece of ours got further than we heard.
    if ((response.ok || response.status === 409) && Number.isInteger(next)) return { offset: next }
    throw readError(response, text, path)
  } catch (err) {
    throw explainFailure(err, api.server, signal)
  }
}

/** All is there, and the answer was lost on the way. */
async function waitForImage(id: string, { api, name, signal }: UploadOptions): Promise<Image> {
  for (;;) {
    const { state } = await api.call<Upload>('GET', `/api/uploads/${id}`)
    if (state === 'done') return await api.call<Image>('GET', `/api/images/${name}`)
    await sleep(POLL_MILLISECONDS, undefined, { signal })
  }
}
