import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { EventFeed, FeedItem } from './event-feed.ts'

/** Beyond what any sequence of ours will reach; a larger number is not an id of ours. */
const EVENT_ID_PATTERN = '^\\d{1,15}$'
/** What a browser waits before it comes again. */
const RETRY_MILLISECONDS = 2000

export interface EventRoutesOptions {
  feed: EventFeed
  /** Aborts when the server stops, so that listeners do not hold it up. */
  stopping: AbortSignal
}

/** Server-sent events (WHATWG HTML, section 9.2). */
export function eventRoutes({ feed, stopping }: EventRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/events',
      {
        schema: {
          tags: ['events'],
          summary: 'What happens, as server-sent events; Last-Event-ID goes on where one left off',
          description:
            'Events machine, run, image, lease and notice carry an id and the whole resource. Event progress carries no id and is never stored.',
          produces: ['text/event-stream'],
          headers: Type.Object({
            'last-event-id': Type.Optional(Type.String({ pattern: EVENT_ID_PATTERN })),
          }),
        },
      },
      async (request, reply) => {
        const header = request.headers['last-event-id']
        // Before the answer begins: whoever has it misses nothing of what they do next.
        const lastId = header === undefined ? await feed.newestId() : Number(header)
        const gone = new AbortController()
        reply.raw.once('close', () => gone.abort())
        const allowed = request.server.whileAllowed(request, gone.signal)
        const signal = AbortSignal.any([gone.signal, stopping, allowed])
        const items = feed.follow(lastId, signal)
        // One item ahead, so that a slow reader holds up its own feed and nothing else.
        const stream = Readable.from(encode(items), { highWaterMark: 1, objectMode: true })
        return reply
          .headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
          .type('text/event-stream')
          .send(stream)
      },
    )
  }
}

async function* encode(items: AsyncIterable<FeedItem>): AsyncGenerator<string> {
  yield `retry: ${RETRY_MILLISECONDS}\n\n`
  for await (const item of items) yield encodeItem(item)
}

function encodeItem(item: FeedItem): string {
  switch (item.kind) {
    case 'event': {
      const { id, kind, data } = item.event
      return `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`
    }
    case 'progress':
      return `event: progress\ndata: ${JSON.stringify(item.progress)}\n\n`
    case 'heartbeat':
      return ': still here\n\n'
  }
}
