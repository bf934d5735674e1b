import { useSyncExternalStore } from 'react'
import type { UploadRequest } from '#protocol/image/upload.ts'
import { client } from '../api/client.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { errorText } from '../api/request-error.ts'
import { sendFile } from './send-file.ts'

/** Uploads of this tab. They go on while other pages are looked at. */

export interface LocalUpload {
  key: number
  name: string
  fileName: string
  sizeBytes: number
  bytesSent: number
  bytesPerSecond: number
  state: 'sending' | 'waiting' | 'finishing' | 'done' | 'failed' | 'cancelled'
  /** Why it waits or failed. */
  reason?: string | undefined
}

/** The rate is that of the last seconds. */
const RATE_WEIGHT = 0.2
const RATE_MILLISECONDS = 500

let uploads: readonly LocalUpload[] = []
let nextKey = 1
const listeners = new Set<() => void>()
const controllers = new Map<number, AbortController>()

export function useUploads(): readonly LocalUpload[] {
  return useSyncExternalStore(subscribe, () => uploads)
}

export function startUpload(file: File, request: UploadRequest): void {
  const key = nextKey++
  const upload: LocalUpload = {
    key,
    name: request.name,
    fileName: file.name,
    sizeBytes: file.size,
    bytesSent: 0,
    bytesPerSecond: 0,
    state: 'sending',
  }
  set([upload, ...uploads])
  void run(key, file, request)
}

/** Stops it, and lets the server forget what it has of it. */
export function cancelUpload(key: number): void {
  controllers.get(key)?.abort(new DOMException('Cancelled', 'AbortError'))
}

export function dismissUpload(key: number): void {
  set(uploads.filter((upload) => upload.key !== key))
}

async function run(key: number, file: File, request: UploadRequest): Promise<void> {
  const controller = new AbortController()
  const { signal } = controller
  controllers.set(key, controller)
  const rate = createRate()
  let id: string | undefined
  try {
    await sendFile({
      file,
      request,
      signal,
      onOpened: (opened) => (id = opened),
      onProgress: ({ state, bytesSent, reason }) =>
        change(key, { state, bytesSent, reason, bytesPerSecond: rate(bytesSent) }),
    })
    change(key, { state: 'done', bytesSent: file.size })
    await queryClient.invalidateQueries({ queryKey: keys.images })
  } catch (error) {
    change(key, signal.aborted ? { state: 'cancelled' } : failure(error))
    // What fails to be forgotten now is forgotten after a while.
    if (signal.aborted && id !== undefined)
      await client.DELETE('/api/uploads/{id}', { params: { path: { id } } }).catch(() => undefined)
  } finally {
    controllers.delete(key)
  }
}

function failure(error: unknown): Partial<LocalUpload> {
  return { state: 'failed', reason: errorText(error) }
}

function createRate(): (bytes: number) => number {
  let last: { bytes: number; at: number } | undefined
  let rate = 0
  return (bytes) => {
    const at = performance.now()
    last ??= { bytes, at }
    const milliseconds = at - last.at
    if (milliseconds < RATE_MILLISECONDS) return rate
    const present = Math.max(0, ((bytes - last.bytes) / milliseconds) * 1000)
    rate = rate === 0 ? present : rate + (present - rate) * RATE_WEIGHT
    last = { bytes, at }
    return rate
  }
}

function change(key: number, changes: Partial<LocalUpload>): void {
  set(uploads.map((upload) => (upload.key === key ? { ...upload, ...changes } : upload)))
}

function set(next: readonly LocalUpload[]): void {
  uploads = next
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Leaving the tab ends what it sends: the browser asks first. */
addEventListener('beforeunload', (event) => {
  if (controllers.size > 0) event.preventDefault()
})
