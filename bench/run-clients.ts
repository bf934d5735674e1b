import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { ClientsAnswer, ClientsOrder } from './clients.ts'

const MAX_SECONDS = 300

/** What comes, in a process of its own, so that neither server waits for the bench itself. */
export async function runClients(order: ClientsOrder): Promise<ClientsAnswer> {
  const child = fork(new URL('clients.ts', import.meta.url), { stdio: 'inherit' })
  const signal = AbortSignal.timeout(MAX_SECONDS * 1000)
  try {
    child.send(order)
    const [answer] = (await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`The clients ended with exit code ${code}`)
      }),
    ])) as [ClientsAnswer]
    return answer
  } finally {
    child.kill()
  }
}
