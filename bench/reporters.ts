/** The other side of reports.ts: agents that report once a second each, and a page that watches. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ADMIN_TOKEN } from '#test/support/test-app.ts'

export interface ReportersOrder {
  port: number
  agents: { id: string; token: string }[]
}

export interface ReportersAnswer {
  /** Answered reports a second. */
  reports: number
  /** Milliseconds until the answer. */
  p95: number
  /** Events of progress a second. */
  progress: number
}

const INTERVAL_MILLISECONDS = 1000
const TOTAL_BYTES = 10 * 1024 ** 3

const [{ port, agents }] = (await once(process, 'message')) as [ReportersOrder]
const stop = new AbortController()
process.once('message', () => stop.abort())
const url = `http://127.0.0.1:${port}`
let startedAt = performance.now()
const times: number[] = []
let progress = 0
let isWarm = false

/** From here on it is measured. */
function begin(): void {
  isWarm = true
  times.length = 0
  progress = 0
  startedAt = performance.now()
  process.send!('warm')
}

async function reportOn({ id, token }: ReportersOrder['agents'][number]): Promise<void> {
  await sleep(Math.random() * INTERVAL_MILLISECONDS)
  for (let sequence = 0; !stop.signal.aborted; sequence += 1) {
    const start = performance.now()
    const response = await fetch(`${url}/agent/runs/${id}/reports`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        attempt: 1,
        sequence,
        at: new Date().toISOString(),
        step: 'wipe-disk',
        state: 'running',
        bytesDone: Math.min(TOTAL_BYTES, sequence * 100_000_000),
        bytesTotal: TOTAL_BYTES,
        bytesPerSecond: 100_000_000,
      }),
    })
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
    await response.arrayBuffer()
    const took = performance.now() - start
    times.push(took)
    // The first report of an attempt does more than the others, so all have sent one by now.
    if (!isWarm && times.length === agents.length * 2) begin()
    await sleep(Math.max(0, INTERVAL_MILLISECONDS - took))
  }
}

async function watch(): Promise<void> {
  const response = await fetch(`${url}/api/events`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    signal: stop.signal,
  })
  for await (const text of response.body!.pipeThrough(new TextDecoderStream()))
    progress += text.split('event: progress').length - 1
}

const watching = watch().catch((err: unknown) => {
  if (!stop.signal.aborted) throw err
})
await Promise.all(agents.map(reportOn))
await watching
const seconds = (performance.now() - startedAt) / 1000
const sorted = times.toSorted((a, b) => a - b)
const answer: ReportersAnswer = {
  reports: times.length / seconds,
  p95: sorted[Math.floor(sorted.length * 0.95)] ?? NaN,
  progress: progress / seconds,
}
process.send!(answer)
process.disconnect()
