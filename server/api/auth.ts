import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Mac } from '#protocol/mac.ts'
import type { Run, RunState, Workflow } from '#protocol/run.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ForbiddenError, UnauthorizedError } from './errors.ts'

/** Who asks. An agent is one that said hello; its run may be over by now. */
export type Principal =
  | { kind: 'admin' }
  | { kind: 'agent'; session: AgentSession }
  | { kind: 'none' }

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

/**
 * Who may call a route. `admin` is what a route gets that says nothing. `agent`: also one whose run
 * is over, so that it can be told so. `admin-or-agent`: an agent only while its run is active.
 */
export type Access = 'admin' | 'agent' | 'admin-or-agent' | 'public'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal
  }
  interface FastifyContextConfig {
    access?: Access
  }
}

export interface AuthOptions {
  adminToken: string
  findSession(tokenHash: Sha256): Promise<AgentSession | undefined>
}

/** 256 bits: what all our tokens are. */
export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Tokens are stored and looked up as this. */
export function hashToken(token: string): Sha256 {
  return parseSha256(createHash('sha256').update(token).digest('hex'))
}

/** Sets `request.principal`, and refuses who may not call the route. */
export function installAuth(app: FastifyInstance, options: AuthOptions): void {
  const adminHash = Buffer.from(hashToken(options.adminToken), 'hex')

  async function identify(request: FastifyRequest): Promise<Principal> {
    const token = bearerToken(request)
    if (token === undefined) return { kind: 'none' }
    const hash = hashToken(token)
    // Hashes have one length and tell nothing of the token, so time tells nothing either.
    if (timingSafeEqual(Buffer.from(hash, 'hex'), adminHash)) return { kind: 'admin' }
    const session = await options.findSession(hash)
    return session ? { kind: 'agent', session } : { kind: 'none' }
  }

  app.decorateRequest('principal')
  app.addHook('onRequest', async (request) => {
    request.principal = { kind: 'none' }
    const access = request.is404 ? 'public' : (request.routeOptions.config.access ?? 'admin')
    if (access === 'public') return
    request.principal = await identify(request)
    checkAccess(request.principal, access, bearerToken(request) !== undefined)
  })
}

function checkAccess(
  principal: Principal,
  access: Exclude<Access, 'public'>,
  tokenGiven: boolean,
): void {
  if (principal.kind === 'none') {
    throw new UnauthorizedError(
      tokenGiven
        ? 'The token is not valid, or no longer'
        : 'This call needs a token in the header "Authorization: Bearer …"',
    )
  }
  if (principal.kind === 'admin') {
    if (access === 'agent') throw new ForbiddenError('Only an agent with a run may call this')
    return
  }
  if (access === 'admin') {
    throw new ForbiddenError("An agent's token does not allow this; use the admin token")
  }
  const { run } = principal.session
  if (access === 'admin-or-agent' && !(run && isCurrent(principal.session))) {
    throw new UnauthorizedError('The token died with its run', 'run-over')
  }
}

/** Whether the session may still work for its run. */
export function isCurrent({ run, attempt }: AgentSession): boolean {
  return run !== undefined && run.state === 'running' && run.attempts === attempt
}

function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '')?.[1]
}
