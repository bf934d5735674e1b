import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { sha256 } from '#agent/chunks/content.ts'
import type { ChunkClient } from '#agent/chunks/chunk-client.ts'
import { createChunkSender } from '#agent/pipeline/send-chunks.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/** A server that lacks what it was not sent, and answers a question as late as the test wants. */
function createServer() {
  const puts: Sha256[] = []
  const questions: (() => void)[] = []
  let failing = false
  const client: Pick<ChunkClient, 'missing' | 'put'> = {
    async missing(hashes) {
      const lacking = new Set(hashes.filter((hash) => !puts.includes(hash)))
      await new Promise<void>((resolve) => questions.push(resolve))
      return lacking
    },
    async put(hash) {
      if (failing) throw new Error('The disk of the server is full')
      puts.push(hash)
    },
  }
  return {
    client: client as ChunkClient,
    puts,
    fail: () => (failing = true),
    async answer() {
      await turn()
      questions.shift()?.()
    },
  }
}

const chunkOf = (text: string) => {
  const bytes = Buffer.from(new SharedArrayBuffer(1024)).fill(text)
  return [sha256(bytes), bytes] as const
}

const { signal } = new AbortController()

describe('what is sent of a disk', () => {
  it('is sent once, also if two parts of it hold it and ask at the same moment', async () => {
    const server = createServer()
    const sender = createChunkSender(server.client)
    const both = chunkOf('both')
    const parts = [chunkOf('first'), chunkOf('second')]
    const sent = parts.map((part) => sender.send(new Map([part, both]), signal))
    await server.answer()
    await sent[0]
    await server.answer()
    await sent[1]
    assert.deepEqual(server.puts.toSorted(), [both, ...parts].map(([hash]) => hash).toSorted())
  })

  it('is asked for again by whoever has it later, and not sent if it is there', async () => {
    const server = createServer()
    const sender = createChunkSender(server.client)
    const chunks = new Map([chunkOf('same')])
    for (let time = 0; time < 2; time++) {
      const sent = sender.send(chunks, signal)
      await server.answer()
      await sent
    }
    assert.equal(server.puts.length, 1)
  })

  it('fails in each part that holds a chunk which could not be sent', async () => {
    const server = createServer()
    server.fail()
    const sender = createChunkSender(server.client)
    const chunks = new Map([chunkOf('both')])
    const sent = [sender.send(chunks, signal), sender.send(chunks, signal)]
    await server.answer()
    for (const outcome of await Promise.allSettled(sent)) assert.equal(outcome.status, 'rejected')
  })
})
