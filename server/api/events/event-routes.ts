import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { RequestError } from '../http/errors.ts'
import type { EventFeed, FeedItem } from './event-feed.ts'
import { accountKey, type Principal } from '../access/principal.ts'

/** Beyond what any sequence of ours will reach; a larger number is not an id of ours. */
const EventId = Type.String({ pattern: '^\\d{1,15}$', examples: ['4711'] })
/** What a browser waits before it comes again. */
const RETRY_MILLISECONDS = 2000
/** Of one account: its tabs and programs. Each costs the server a reader of the table. */
const MAX_STREAMS = 100

const DESCRIPTION = `Events \`machine\`, \`run\`, \`image\`, \`lease\` and \`notice\` carry an id and the whole resource, with
\`deleted: true\` if it is no more. Whoever comes again with the last id misses nothing, as a browser does by itself;
for a first connection that goes on from a known place there is \`?lastEventId=\`. Event \`reset\` says that what
came in between is no longer kept (20,000 events are): read everything anew. Event \`progress\` tells how far a run
got, at most once a second; it carries no id and is never stored.`

export interface EventRoutesOptions {
  feed: EventFeed
  /** Aborts when the server stops, so that listeners do not hold it up. */
  stopping: AbortSignal
}

/** Server-sent events (WHATWG HTML, section 9.2). */
export function eventRoutes({ feed, stopping }: EventRoutesOptions): FastifyPluginAsyncTypebox {
  const takePlace = createPlaces(MAX_STREAMS)
  return async (app) => {
    app.get(
      '/events',
      {
        schema: {
          tags: ['events'],
          summary: 'What happens, as server-sent events; Last-Event-ID goes on where one left off',
          description: DESCRIPTION,
          produces: ['text/event-stream'],
          headers: Type.Object({ 'last-event-id': Type.Optional(EventId) }),
          querystring: Type.Object({ lastEventId: Type.Optional(EventId) }),
        },
      },
      async (request, reply) => {
        // A browser that comes again sends the header, and still the address that it began with.
        const given = request.headers['last-event-id'] ?? request.query.lastEventId
        // Before the answer begins: whoever has it misses nothing of what they do next.
        const lastId = given === undefined ? await feed.newestId() : Number(given)
        const gone = new AbortController()
        const leavePlace = takePlace(request.principal)
        reply.raw.once('close', () => {
          leavePlace()
          gone.abort()
        })
        const allowed = request.server.whileAllowed(request, gone.signal)
        const signal = AbortSignal.any([gone.signal, stopping, allowed])
        const items = feed.follow(lastId, signal)
        // One item ahead, so that a slow reader holds up its own feed and nothing else.
        const stream = Readable.from(encode(lastId, items), { highWaterMark: 1, objectMode: true })
        return reply
          .headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
          .type('text/event-stream')
          .send(stream)
      },
    )
  }
}

/** Throws RequestError 429 where one account has `most` open; returns what ends one. */
function createPlaces(most: number): (principal: Principal) => () => void {
  const open = new Map<string, number>()
  return (principal) => {
    const key = principal.kind === 'person' ? accountKey(principal) : principal.kind
    const count = open.get(key) ?? 0
    if (count >= most)
      throw new RequestError(
        429,
        'too-many-streams',
        `This account has ${most} event streams open already; close some of its tabs or programs`,
      )
    open.set(key, count + 1)
    return () => {
      const left = open.get(key)! - 1
      if (left === 0) open.delete(key)
      else open.set(key, left)
    }
  }
}

async function* encode(lastId: number, items: AsyncIterable<FeedItem>): AsyncGenerator<string> {
  // An id without data is no event, but a browser that is cut off before the first one sends it.
  yield `retry: ${RETRY_MILLISECONDS}\nid: ${lastId}\n\n`
  for await (const item of items) yield encodeItem(item)
}

function encodeItem(item: FeedItem): string {
  switch (item.kind) {
    case 'event': {
      const { id, kind, data } = item.event
      return `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`
    }
    case 'reset': {
      const { id, lastId } = item
      return `id: ${id}\nevent: reset\ndata: ${JSON.stringify({ lastEventId: lastId })}\n\n`
    }
    case 'progress':
      return item.progresses
        .map((progress) => `event: progress\ndata: ${JSON.stringify(progress)}\n\n`)
        .join('')
    case 'heartbeat':
      // An event and no comment: a browser's EventSource tells its page nothing of comments.
      return 'event: heartbeat\ndata: {}\n\n'
  }
}
