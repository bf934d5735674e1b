import { hash as digestOf } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { parseSha256 } from '#protocol/sha256.ts'
import { codecOf, inflateChunk } from './chunk-codec.ts'
import type { VerifyAnswer, VerifyRequest } from './chunk-verifier.ts'
import { EXPORT_FORMATS } from './export-format.ts'
import { MemberDecodeError } from './gzip-member.ts'
import { FrameDecodeError } from './zstd-frame.ts'

async function answer(request: VerifyRequest): Promise<VerifyAnswer> {
  const { id, memory, length } = request
  const bytes = new Uint8Array(memory, 0, length)
  const codec = codecOf(bytes)
  if (!codec) return { id, refusal: 'It is neither a gzip member nor a zstd frame' }
  try {
    const content = await inflateChunk({ codec, bytes })
    const hash = parseSha256(digestOf('sha256', content, 'hex'))
    if (request.kind === 'hash') return { id, hash }
    if (hash !== request.hash) return { id, refusal: 'its content has another hash' }
    return { id, wrappedBytes: wrap(content, request) }
  } catch (err) {
    if (err instanceof MemberDecodeError || err instanceof FrameDecodeError)
      return { id, refusal: err.message }
    return { id, failure: String(err) }
  }
}

function wrap(content: Uint8Array, { codec, target }: VerifyRequest & { kind: 'wrap' }): number {
  const format = EXPORT_FORMATS.find((each) => each.codec === codec)!
  const wrapped = format.wrap(content)
  new Uint8Array(target).set(wrapped)
  return wrapped.length
}

parentPort!.on('message', (request: VerifyRequest) => {
  void answer(request).then((message) => parentPort!.postMessage(message))
})
