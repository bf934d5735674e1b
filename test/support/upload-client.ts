import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import type { Image } from '#protocol/image/image-info.ts'
import type { Upload, UploadRequest } from '#protocol/image/upload.ts'

export interface UploadServer {
  url: string
  token: string
}

export interface PieceAnswer {
  status: number
  offset: number | undefined
  body: Image & { error: { code: string; message: string; details?: unknown } }
}

const TIMEOUT_MILLISECONDS = 60_000

/** Uploads in pieces as a client does that loses its connections. */
export function createUploadClient({ url, token }: UploadServer) {
  const headers = { authorization: `Bearer ${token}` }
  const signal = () => AbortSignal.timeout(TIMEOUT_MILLISECONDS)

  async function begin(body: UploadRequest): Promise<Upload> {
    const response = await fetch(`${url}/api/uploads`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: signal(),
    })
    const text = await response.text()
    if (response.status !== 201) throw new Error(`${response.status}: ${text}`)
    return JSON.parse(text) as Upload
  }

  /** What HEAD says: where to go on. */
  async function head(id: string): Promise<{ status: number; offset: number }> {
    const response = await fetch(`${url}/api/uploads/${id}`, {
      method: 'HEAD',
      headers,
      signal: signal(),
    })
    return { status: response.status, offset: Number(response.headers.get('upload-offset')) }
  }

  function open(id: string, offset: number, length?: number): ClientRequest {
    return request(`${url}/api/uploads/${id}`, {
      method: 'PATCH',
      agent: false,
      timeout: TIMEOUT_MILLISECONDS,
      headers: {
        ...headers,
        'content-type': 'application/offset+octet-stream',
        'upload-offset': offset,
        ...(length !== undefined && { 'content-length': length }),
      },
    })
  }

  async function send(id: string, offset: number, bytes: Uint8Array): Promise<PieceAnswer> {
    const patch = open(id, offset, bytes.length)
    patch.end(bytes)
    return answerTo(patch)
  }

  /** Announces more than it sends, then hangs up in the middle. */
  async function sendCut(id: string, offset: number, bytes: Uint8Array): Promise<void> {
    const patch = open(id, offset, bytes.length + 1_000_000)
    patch.on('error', () => {})
    await new Promise<void>((resolve) => patch.write(bytes, () => resolve()))
    patch.destroy()
  }

  /** From where it stopped to the end, in one piece. */
  async function finish(id: string, file: Uint8Array): Promise<PieceAnswer> {
    for (;;) {
      const { offset } = await head(id)
      const answer = await send(id, offset, file.subarray(offset))
      // What an old connection still brought counted while we asked.
      if (answer.body.error?.code !== 'wrong-offset') return answer
    }
  }

  return { begin, head, open, send, sendCut, finish }
}

export async function answerTo(patch: ClientRequest): Promise<PieceAnswer> {
  const [response] = (await once(patch, 'response')) as [IncomingMessage]
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  const text = Buffer.concat(parts).toString()
  const offset = response.headers['upload-offset']
  return {
    status: response.statusCode!,
    offset: offset === undefined ? undefined : Number(offset),
    body: (text ? JSON.parse(text) : {}) as PieceAnswer['body'],
  }
}
