import type { FastifyInstance } from 'fastify'
import { includesRole } from '#protocol/account.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Person } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Aborts when the caller is no longer who they were when the call began: signed out, revoked,
     * expired, disabled or given a lesser role. Watches until `done`.
     */
    whileAllowed(request: FastifyRequest, done: AbortSignal): AbortSignal
  }
}

/** Changes are heard of at once; that time ran out is seen within this. */
const LOOK_MILLISECONDS = 20_000

export interface AccessWatchOptions {
  /** With `isUse` false, asking does not keep a session from becoming idle. */
  findPerson(via: 'cookie' | 'token', hash: Sha256, isUse?: boolean): Promise<Person | undefined>
  onPeopleChange(listener: () => void): Disposable
}

/** For answers that go on for hours: a right is asked for once, at their beginning. */
export function installAccessWatch(app: FastifyInstance, options: AccessWatchOptions): void {
  app.decorate('whileAllowed', ({ principal }, done) => {
    const ended = new AbortController()
    if (principal.kind !== 'person' || principal.via === 'admin-token') return ended.signal
    const { via, hash, role } = principal
    if (hash === undefined) return ended.signal

    async function look(): Promise<void> {
      try {
        const found = await options.findPerson(via as 'cookie' | 'token', hash!, false)
        if (!found || !includesRole(found.role, role)) ended.abort()
      } catch {
        ended.abort() // in doubt they ask anew
      }
    }

    const timer = setInterval(() => void look(), LOOK_MILLISECONDS)
    const watching = options.onPeopleChange(() => void look())
    const stop = (): void => {
      clearInterval(timer)
      watching[Symbol.dispose]()
    }
    AbortSignal.any([done, ended.signal]).addEventListener('abort', stop)
    return ended.signal
  })
}
