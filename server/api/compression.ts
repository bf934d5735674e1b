import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'

/** Below this a packet or two are all that is saved; sessions and tokens stay far below it. */
const THRESHOLD_BYTES = 8 * 1024

/**
 * Long lists go out compressed to whoever takes them so: two thousand machines are a megabyte.
 * Images and chunks are compressed already, pages were before, and events must not wait in a buffer.
 */
export async function installCompression(app: FastifyInstance): Promise<void> {
  await app.register(compress, {
    global: true,
    // Bodies of requests stay as they are: what an upload is compressed with is the import's affair.
    globalDecompression: false,
    encodings: ['gzip'],
    threshold: THRESHOLD_BYTES,
    customTypes: /^application\/json\b/,
  })
}
