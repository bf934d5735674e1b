import { includesRole, type Role, type TokenScope } from '#protocol/account.ts'
import { ForbiddenError, UnauthorizedError } from '../http/errors.ts'
import type { AgentSession, Person, Principal } from './principal.ts'

/**
 * Who may call a route. A role: whoever has it, or one that may more. `agent`: also one whose run is
 * over, so that it can be told so. `…-or-agent`: an agent only while its run is active.
 */
export type Access = 'public' | 'agent' | Role | 'viewer-or-agent' | 'operator-or-agent'

/** What a route asks of its caller. */
export interface AccessRule {
  access: Access
  /** What a token with scopes must have among them to change something here. */
  scope: TokenScope | undefined
  changes: boolean
}

/** GET and HEAD change nothing. */
export function isChange(method: string): boolean {
  return !['GET', 'HEAD', 'OPTIONS'].includes(method)
}

/** Of a route that names none: reading is for everybody with an account, changing for admins only. */
export function defaultAccess(method: string): Access {
  return isChange(method) ? 'admin' : 'viewer'
}

/** Throws UnauthorizedError or ForbiddenError. */
export function checkAccess(
  principal: Principal,
  rule: AccessRule,
  { credentialGiven }: { credentialGiven: boolean },
): void {
  const { access } = rule
  if (access === 'public') return
  switch (principal.kind) {
    case 'none':
      throw new UnauthorizedError(
        credentialGiven
          ? 'The token or session is not valid, or no longer; sign in again'
          : 'Sign in, or send a token in the header "Authorization: Bearer …"',
      )
    case 'agent':
      return checkAgent(principal.session, access)
    case 'person':
      return checkPerson(principal, { ...rule, access })
  }
}

function checkAgent(session: AgentSession, access: Exclude<Access, 'public'>): void {
  if (access === 'agent') return
  if (access !== 'viewer-or-agent' && access !== 'operator-or-agent')
    throw new ForbiddenError("An agent's token does not allow this")
  if (!isCurrent(session)) throw new UnauthorizedError('The token died with its run', 'run-over')
}

function checkPerson(
  { role, scopes }: Person,
  { access, scope, changes }: AccessRule & { access: Exclude<Access, 'public'> },
): void {
  if (access === 'agent') throw new ForbiddenError('Only an agent with a run may call this')
  const needed = ROLE_NEEDED[access]
  if (!includesRole(role, needed))
    throw new ForbiddenError(`This needs the role ${needed}, and yours is ${role}`)
  if (changes && scopes !== null && (scope === undefined || !scopes.includes(scope)))
    throw new ForbiddenError(
      `This token may only change ${scopes.join(', ') || 'nothing'}, and this is ${scope ?? 'none of them'}`,
      'scope',
    )
}

const ROLE_NEEDED: Record<Exclude<Access, 'public' | 'agent'>, Role> = {
  viewer: 'viewer',
  'viewer-or-agent': 'viewer',
  operator: 'operator',
  'operator-or-agent': 'operator',
  admin: 'admin',
}

/** Whether the session may still work for its run. */
export function isCurrent({ run, attempt }: AgentSession): boolean {
  return run !== undefined && run.state === 'running' && run.attempts === attempt
}
