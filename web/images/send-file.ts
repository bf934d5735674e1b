import type { Upload, UploadRequest } from '#protocol/image/upload.ts'
import { bodyOf, client } from '../api/client.ts'
import { RequestError } from '../api/request-error.ts'
import { sendPiece } from './send-piece.ts'

/** Small enough that a lost link costs little, large enough that round trips cost nothing. */
const PIECE_BYTES = 16 * 1024 * 1024
const FIRST_WAIT_MILLISECONDS = 1000
const MAX_WAIT_MILLISECONDS = 30_000

export interface SendProgress {
  state: 'sending' | 'waiting' | 'finishing'
  bytesSent: number
  /** Why it waits. */
  reason?: string
}

interface SendFile {
  file: File
  request: UploadRequest
  signal: AbortSignal
  onOpened: (id: string) => void
  onProgress: (progress: SendProgress) => void
}

/**
 * Uploads a file in pieces and goes on after every lost connection. A server that was restarted has
 * forgotten it, and it begins anew. Throws what the server refused with.
 */
export async function sendFile(options: SendFile): Promise<void> {
  for (;;) {
    const upload = await openUpload(options.request, options.signal)
    options.onOpened(upload.id)
    if ((await sendPieces(upload, options)) === 'finished') return
  }
}

/** One of this name and length that was begun before, in another tab or before a reload, goes on. */
async function openUpload(body: UploadRequest, signal: AbortSignal): Promise<Upload> {
  const { items } = await bodyOf(client.GET('/api/uploads', { signal }))
  const begun = items.find(
    ({ name, fileName, sizeBytes, state }) =>
      name === body.name &&
      fileName === body.fileName &&
      sizeBytes === body.sizeBytes &&
      state === 'receiving',
  )
  return begun ?? (await bodyOf(client.POST('/api/uploads', { body, signal })))
}

async function sendPieces(
  { id, offset: first }: Upload,
  { file, signal, onProgress }: SendFile,
): Promise<'finished' | 'gone'> {
  let offset = first
  let wait = FIRST_WAIT_MILLISECONDS
  for (;;) {
    const start = offset
    const piece = file.slice(start, start + PIECE_BYTES)
    const isLast = start + piece.size >= file.size
    const outcome = await sendPiece({
      upload: id,
      offset,
      piece,
      signal,
      onProgress(bytes) {
        const isFinishing = isLast && bytes >= piece.size
        onProgress({ state: isFinishing ? 'finishing' : 'sending', bytesSent: start + bytes })
      },
    })
    if (outcome.kind === 'finished') return 'finished'
    if (outcome.kind === 'gone') return 'gone'
    if (outcome.kind === 'refused') throw new RequestError(422, 'upload-refused', outcome.reason)
    if (outcome.kind === 'arrived') {
      offset = outcome.offset
      wait = FIRST_WAIT_MILLISECONDS
      continue
    }
    onProgress({ state: 'waiting', bytesSent: offset, reason: outcome.reason })
    await pause(wait, signal)
    wait = Math.min(wait * 2, MAX_WAIT_MILLISECONDS)
    const now = await readOffset(id, offset, signal)
    if (now === 'gone') return 'gone'
    offset = now
  }
}

/** Where the server stands; still away, and the next piece will find out. */
async function readOffset(
  id: string,
  known: number,
  signal: AbortSignal,
): Promise<number | 'gone'> {
  try {
    const answer = await fetch(`/api/uploads/${id}`, { method: 'HEAD', signal })
    if (answer.status === 404 || answer.status === 410) return 'gone'
    const offset = answer.headers.get('upload-offset')
    return offset === null ? known : Number(offset)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TypeError) return known
    throw error
  }
}

/** Ends early when the browser says that it is online again. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      removeEventListener('online', end)
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason as Error)
      else resolve()
    }
    const timer = setTimeout(end, milliseconds)
    addEventListener('online', end)
    signal.addEventListener('abort', end)
  })
}
