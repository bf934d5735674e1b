import { hash as digestOf, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { TokenScope } from '#protocol/account.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { checkAccess, defaultAccess, isChange, type Access } from './access.ts'
import { installAccessWatch, type AccessWatchOptions } from './access-watch.ts'
import { checkCsrfToken, checkSameOrigin } from './csrf.ts'
import type { AgentSession, Person, Principal } from './principal.ts'
import { installCookies, readSessionCookie } from './session-cookie.ts'

export type { Access } from './access.ts'
export type { AgentSession, Person, Principal } from './principal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal
  }
  interface FastifyContextConfig {
    /** Absent: `viewer` for what only reads, `admin` for what changes something. */
    access?: Access
    /** What a token with scopes needs to change something here; without one, no such token may. */
    scope?: TokenScope
    /** Whether a browser's cookie counts: by default under /api only. */
    cookie?: boolean
  }
  interface FastifyInstance {
    /** Every route that was registered, with what it asks of its caller. */
    listRouteRules(): RouteRule[]
  }
}

export interface RouteRule {
  method: string
  url: string
  access: Access
  scope: TokenScope | undefined
  audit: string | undefined
}

export interface AuthOptions extends AccessWatchOptions {
  adminToken: string
  /** The agent that has this token. */
  findSession(tokenHash: Sha256): Promise<AgentSession | undefined>
}

/** 256 bits: what all our tokens are. */
export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Tokens are stored and looked up as this. */
export function hashToken(token: string): Sha256 {
  return parseSha256(digestOf('sha256', token))
}

/** What API tokens begin with, so that whoever finds one knows what it is. */
export const API_TOKEN_PREFIX = 'stp_'

/** The admin token as a caller. */
export const ADMIN: Person = {
  kind: 'person',
  name: 'admin',
  role: 'admin',
  userId: null,
  via: 'admin-token',
  scopes: null,
  expiresAt: null,
}

/** Sets `request.principal`, and refuses who may not call the route. */
export function installAuth(app: FastifyInstance, options: AuthOptions): void {
  const isAdminToken = adminTokenCheck(options.adminToken)
  installCookies(app)
  installRouteRules(app)
  installAccessWatch(app, options)

  async function identify(request: FastifyRequest): Promise<Principal> {
    const token = bearerToken(request)
    if (token === undefined) return identifyByCookie(request)
    if (isAdminToken(token)) return ADMIN
    const hash = hashToken(token)
    const found = token.startsWith(API_TOKEN_PREFIX)
      ? await options.findPerson('token', hash)
      : await options.findSession(hash).then((session) => session && agent(session))
    return found ?? { kind: 'none' }
  }

  async function identifyByCookie(request: FastifyRequest): Promise<Principal> {
    const { config, url = '' } = request.routeOptions
    // Nothing that is there for machines takes a cookie: what a browser sends by itself is weak.
    if (!(config.cookie ?? url.startsWith('/api/'))) return { kind: 'none' }
    const cookie = readSessionCookie(request)
    if (cookie === undefined) return { kind: 'none' }
    return (await options.findPerson('cookie', hashToken(cookie))) ?? { kind: 'none' }
  }

  app.decorateRequest('principal')
  app.addHook('onRequest', async (request, reply) => {
    request.principal = { kind: 'none' }
    setSafeHeaders(request, reply)
    if (request.is404) return
    const { method, routeOptions } = request
    const changes = isChange(method)
    const access = routeOptions.config.access ?? defaultAccess(method)
    const { scope } = routeOptions.config
    if (access !== 'public') {
      request.principal = await identify(request)
      const credentialGiven = bearerToken(request) !== undefined || !!readSessionCookie(request)
      checkAccess(request.principal, { access, scope, changes }, { credentialGiven })
    }
    if (changes && routeOptions.url?.startsWith('/api/')) checkForgery(request)
  })
}

/** What a route sets itself comes later and wins. */
function setSafeHeaders({ url }: FastifyRequest, reply: FastifyReply): void {
  void reply.header('x-content-type-options', 'nosniff')
  // Kept by nobody else, and by the browser only to ask whether it changed.
  if (url.startsWith('/api/')) void reply.header('cache-control', 'private, no-cache')
}

/** Compares hashes: they have one length and tell nothing of the token, so time tells nothing either. */
export function adminTokenCheck(adminToken: string): (token: string) => boolean {
  const expected = Buffer.from(hashToken(adminToken), 'hex')
  return (token) => timingSafeEqual(Buffer.from(hashToken(token), 'hex'), expected)
}

/**
 * A browser sends cookies by itself, whoever's page asks it to. Where it came from counts without a
 * cookie too: a page elsewhere may not sign somebody in under another's name.
 */
function checkForgery(request: FastifyRequest): void {
  const { principal, headers } = request
  // Only what we read as a token proves that no page sent this; "Basic …" proves nothing.
  if (bearerToken(request) !== undefined) return
  checkSameOrigin(headers)
  if (principal.kind === 'person' && principal.via === 'cookie')
    checkCsrfToken(headers, principal.csrfToken)
}

function agent(session: AgentSession): Principal {
  return { kind: 'agent', session }
}

function installRouteRules(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.decorate('listRouteRules', () => routes.flatMap(rulesOf))
  app.addHook('onRoute', (route) => void routes.push(route))
}

function rulesOf({ method, url, config }: RouteOptions): RouteRule[] {
  return [method].flat().map((name) => ({
    method: name,
    url,
    access: config?.access ?? defaultAccess(name),
    scope: config?.scope,
    audit: config?.audit,
  }))
}

function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '')?.[1]
}
