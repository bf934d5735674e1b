import { setTimeout as sleep } from 'node:timers/promises'
import { Value } from 'typebox/value'
import {
  AGENT_SILENCE_SECONDS,
  HelloAnswerSchema,
  ReportAnswerSchema,
  type Hello,
  type HelloAnswer,
  type Log,
  type Report,
  type ReportAnswer,
  type Result,
} from '#protocol/run/agent.ts'
import { HttpStatusError, createHttpClient, type HttpClient } from './http.ts'
import { createReachLog } from './reach-log.ts'

/** An attempt that went silent keeps its run for a minute: asked again until that is over. */
const TAKEN_WAIT_SECONDS = 10
const TAKEN_TRIES = Math.ceil((AGENT_SILENCE_SECONDS * 2) / TAKEN_WAIT_SECONDS)

/** The run's calls, each of which waits for a server that is away. */
export interface RunClient {
  report(report: Report): Promise<ReportAnswer>
  log(log: Log): Promise<void>
  result(result: Result): Promise<void>
}

/** Says who we are; the answer is what to do. */
export async function sayHello(
  serverUrl: string,
  hello: Hello,
  options: { signal: AbortSignal; say: (line: string) => void },
): Promise<HelloAnswer> {
  const { signal, say } = options
  const http = createHttpClient({ serverUrl, token: undefined, reach: createReachLog(say) })
  for (let tries = 1; ; tries++) {
    try {
      const { body } = await http.send({
        method: 'POST',
        path: '/agent/hello',
        json: hello,
        signal,
      })
      return parseHelloAnswer(body)
    } catch (err) {
      const isTaken = err instanceof HttpStatusError && err.code === 'agent-active'
      if (!isTaken || tries >= TAKEN_TRIES) throw err
      say(`${err.message}; trying again`)
      await sleep(TAKEN_WAIT_SECONDS * 1000, undefined, { signal })
    }
  }
}

/** What decides which disk is erased is checked before it is believed. */
function parseHelloAnswer(body: Buffer): HelloAnswer {
  const answer: unknown = JSON.parse(body.toString())
  if (!Value.Check(HelloAnswerSchema, answer)) {
    const [error] = Value.Errors(HelloAnswerSchema, answer)
    throw new TypeError(
      `The server's answer to the hello is not understood: ${error?.instancePath} ` +
        `${error?.message}; server and boot files may be of different versions`,
    )
  }
  return answer
}

export function createRunClient(http: HttpClient, runId: string): RunClient {
  const post = (call: string, json: unknown) =>
    http.send({ method: 'POST', path: `/agent/runs/${runId}/${call}`, json })
  return {
    async report(report) {
      const { body } = await post('reports', report)
      const answer: unknown = JSON.parse(body.toString())
      if (!Value.Check(ReportAnswerSchema, answer))
        throw new TypeError(`The server's answer to a report is not understood`)
      return answer
    },
    async log(log) {
      await post('log', log)
    },
    async result(result) {
      await post('result', result)
    },
  }
}
