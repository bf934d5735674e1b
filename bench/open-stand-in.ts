import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

const START_MILLISECONDS = 10_000

export interface StandIn extends AsyncDisposable {
  url: string
}

/** A server that takes whatever an agent captures and keeps nothing of it, in a process of its own. */
export async function openStandIn(): Promise<StandIn> {
  const child = fork(new URL('stand-in.ts', import.meta.url), { stdio: 'inherit' })
  const signal = AbortSignal.timeout(START_MILLISECONDS)
  const [{ port }] = (await once(child, 'message', { signal }).catch((err: unknown) => {
    child.kill()
    throw err
  })) as [AddressInfo]
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}
