import { hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { parseSha256 } from '#protocol/sha256.ts'
import { codecOf, inflateChunk } from './chunk-codec.ts'
import type { VerifyAnswer, VerifyRequest } from './chunk-verifier.ts'
import { MemberDecodeError } from './gzip-member.ts'
import { FrameDecodeError } from './zstd-frame.ts'

async function verify({ id, memory, length }: VerifyRequest): Promise<VerifyAnswer> {
  const bytes = new Uint8Array(memory, 0, length)
  const codec = codecOf(bytes)
  if (!codec) return { id, refusal: 'It is neither a gzip member nor a zstd frame' }
  try {
    const content = await inflateChunk({ codec, bytes })
    return { id, hash: parseSha256(hash('sha256', content, 'hex')) }
  } catch (err) {
    if (err instanceof MemberDecodeError || err instanceof FrameDecodeError)
      return { id, refusal: err.message }
    return { id, failure: String(err) }
  }
}

parentPort!.on('message', (request: VerifyRequest) => {
  void verify(request).then((answer) => parentPort!.postMessage(answer))
})
