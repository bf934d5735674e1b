import type { ApiToken, AuditEntry, Session, User } from '#protocol/account.ts'
import type { Examples } from '../openapi/add-examples.ts'
import { AT, LATER, listWith, MAC, TOKEN_ID, USER_ID } from './values.ts'

const user: User = {
  id: USER_ID,
  name: 'maria',
  role: 'operator',
  disabled: false,
  createdAt: AT,
  lastLoginAt: LATER,
}
const session: Session = {
  user: { id: USER_ID, name: 'maria', role: 'operator' },
  via: 'cookie',
  csrfToken: 'sQ6cT5v0v9xJ1mB2n3H4k5L6p7R8t9W0y1Z2a3C4e5G',
  expiresAt: '2026-05-08T12:00:00.000Z',
}
const token: ApiToken = {
  id: TOKEN_ID,
  name: 'nightly-deploy',
  owner: 'maria',
  role: 'operator',
  scopes: ['runs'],
  createdAt: AT,
  expiresAt: '2026-07-30T12:00:00.000Z',
  lastUsedAt: null,
  revokedAt: null,
}
const entry: AuditEntry = {
  id: 4711,
  at: AT,
  actor: { kind: 'user', name: 'maria' },
  address: '192.0.2.77',
  action: 'machine.update',
  target: { kind: 'machine', id: MAC },
  status: 200,
  details: { body: { image: 'debian-13' } },
}
const password = 'correct horse battery staple'

export const ACCOUNT_EXAMPLES: Examples = {
  'GET /api/setup': { answers: { 200: { needsSetup: true } } },
  'POST /api/setup': {
    body: { adminToken: 'b7Xk…', name: 'maria', password },
    answers: { 201: { ...session, user: { ...session.user, role: 'admin' } } },
  },
  'POST /api/session': { body: { name: 'maria', password }, answers: { 200: session } },
  'GET /api/session': { answers: { 200: session } },
  'PUT /api/session/password': { body: { current: password, password: 'a better one, longer' } },
  'GET /api/users': { answers: { 200: listWith(user) } },
  'POST /api/users': {
    body: { name: 'maria', role: 'operator', password },
    answers: { 201: { ...user, lastLoginAt: null } },
  },
  'GET /api/users/{name}': { answers: { 200: user } },
  'PATCH /api/users/{name}': {
    body: { role: 'viewer' },
    answers: { 200: { ...user, role: 'viewer' } },
  },
  'GET /api/tokens': { answers: { 200: listWith(token) } },
  'POST /api/tokens': {
    body: { name: 'nightly-deploy', role: 'operator', scopes: ['runs'], expiresInDays: 90 },
    answers: { 201: { token, secret: 'stp_Zb3…' } },
  },
  'GET /api/audit': { answers: { 200: { items: [entry], next: '4711' } } },
}
