import type { Role, TokenScope } from '#protocol/account.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Run, RunState, Workflow } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/** Who asks. An agent is one that said hello; its run may be over by now. */
export type Principal = Person | { kind: 'agent'; session: AgentSession } | { kind: 'none' }

/** Somebody with a role: signed in with a browser, a program with a token, or the admin token. */
export interface Person {
  kind: 'person'
  /** Of the user; of a token that has none, and of the admin token, `admin`. */
  name: string
  role: Role
  userId: string | null
  via: 'cookie' | 'token' | 'admin-token'
  /** What a token may change; null: all that the role may. */
  scopes: TokenScope[] | null
  /** Of `cookie`: what its changes must carry. */
  csrfToken?: string
  /** Of `cookie` and `token`: as it is stored. */
  hash?: Sha256
  token?: { id: string; name: string }
  expiresAt: Date | null
}

/** The same for one account whatever it signed in with, and for nobody else. */
export function accountKey({ userId, via, token, name }: Person): string {
  return userId === null ? `${via}:${token?.id ?? name}` : `user:${userId}`
}

export interface AgentSession {
  mac: Mac
  attempt: number
  /** Undefined: the machine was only to be inventoried. */
  run:
    | {
        id: string
        workflow: Workflow
        state: RunState
        attempts: number
        image: string | null
        imageDigest: Sha256 | null
        claimedBy: Run['claimedBy']
      }
    | undefined
}
