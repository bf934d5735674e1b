import compress from '@fastify/compress'
import type { FastifyInstance, RouteOptions } from 'fastify'

/** Below this a packet or two are all that is saved. */
const THRESHOLD_BYTES = 8 * 1024

/**
 * Long lists go out compressed to whoever takes them so: two thousand machines are a megabyte. Only
 * lists: left to itself the plugin would compress every stream of bytes, chunks, images and the files
 * of firmware too, and take their lengths away.
 */
export async function installCompression(app: FastifyInstance): Promise<void> {
  app.addHook('onRoute', (route) => {
    if (isList(route)) route.compress = { encodings: ['gzip'], threshold: THRESHOLD_BYTES }
  })
  // Bodies of requests stay as they are: what an upload is compressed with is the import's affair.
  await app.register(compress, { global: false, globalDecompression: false })
}

/** Whether it answers with the shape of all our lists. */
function isList({ method, schema }: RouteOptions): boolean {
  const responses = schema?.response as Record<number, { properties?: object }> | undefined
  const properties = responses?.[200]?.properties
  return method === 'GET' && properties !== undefined && 'items' in properties
}
