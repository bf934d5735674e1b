import { Type, type Static } from 'typebox'
import { Timestamp } from './shapes.ts'

/** Who may do what: each role may all that the one before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const
export const RoleSchema = Type.Enum(ROLES)
export type Role = (typeof ROLES)[number]

/** Whether somebody with role `held` may do what needs `needed`. */
export function includesRole(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed)
}

export const USER_NAME_PATTERN = '^[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63}$'
export const UserName = Type.String({ pattern: USER_NAME_PATTERN, examples: ['maria'] })
export const MIN_PASSWORD_CHARACTERS = 10
/** What argon2 is fed with has a limit, so that nobody keeps it busy. */
export const MAX_PASSWORD_CHARACTERS = 256
export const Password = Type.String({
  minLength: MIN_PASSWORD_CHARACTERS,
  maxLength: MAX_PASSWORD_CHARACTERS,
})

export const UserSchema = Type.Object({
  id: Type.String(),
  name: UserName,
  role: RoleSchema,
  disabled: Type.Boolean(),
  createdAt: Timestamp,
  lastLoginAt: Type.Union([Timestamp, Type.Null()]),
})
export type User = Static<typeof UserSchema>

/**
 * What a token may change, besides what its role may not: reading is free to all. `accounts` of an
 * admin amounts to everything, for it can make another admin.
 */
export const TOKEN_SCOPES = [
  'machines',
  'runs',
  'images',
  'network',
  'settings',
  'accounts',
] as const
export const TokenScopeSchema = Type.Enum(TOKEN_SCOPES)
export type TokenScope = (typeof TOKEN_SCOPES)[number]

export const ApiTokenSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  owner: Type.Union([UserName, Type.Null()]),
  role: RoleSchema,
  /** null: all that the role may change. */
  scopes: Type.Union([Type.Array(TokenScopeSchema), Type.Null()]),
  createdAt: Timestamp,
  expiresAt: Type.Union([Timestamp, Type.Null()]),
  lastUsedAt: Type.Union([Timestamp, Type.Null()]),
  revokedAt: Type.Union([Timestamp, Type.Null()]),
})
export type ApiToken = Static<typeof ApiTokenSchema>

/** `GET /api/session`: who the caller is, and with a cookie the token that its changes must carry. */
export const SessionSchema = Type.Object({
  user: Type.Object({
    id: Type.Union([Type.String(), Type.Null()]),
    name: Type.String(),
    role: RoleSchema,
  }),
  via: Type.Enum(['cookie', 'token', 'admin-token']),
  csrfToken: Type.Optional(Type.String()),
  expiresAt: Type.Union([Timestamp, Type.Null()]),
})
export type Session = Static<typeof SessionSchema>

export const AuditEntrySchema = Type.Object({
  id: Type.Integer(),
  at: Timestamp,
  actor: Type.Object({
    kind: Type.Enum(['user', 'token', 'admin-token', 'agent', 'anonymous']),
    name: Type.String(),
  }),
  /** Where the call came from. */
  address: Type.Union([Type.String(), Type.Null()]),
  /** `machine.update`, `run.create`, `session.create`, … */
  action: Type.String(),
  target: Type.Union([Type.Object({ kind: Type.String(), id: Type.String() }), Type.Null()]),
  /** The HTTP status that it ended with: refused attempts are here too. */
  status: Type.Integer(),
  /** What was asked for; nothing secret. */
  details: Type.Optional(Type.Unknown()),
})
export type AuditEntry = Static<typeof AuditEntrySchema>

/** How long a token lasts unless its maker says otherwise, and at most; null: until it is revoked. */
export const DEFAULT_TOKEN_DAYS = 90
export const MAX_TOKEN_DAYS = 3650

export const LoginSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64, examples: ['maria'] }),
    password: Type.String({ minLength: 1, maxLength: MAX_PASSWORD_CHARACTERS }),
  },
  { additionalProperties: false },
)

export const SetupSchema = Type.Object(
  {
    /** The one that the server printed at its first start. */
    adminToken: Type.String({ minLength: 1, maxLength: 1024 }),
    name: UserName,
    password: Password,
  },
  { additionalProperties: false },
)

export const PasswordChangeSchema = Type.Object(
  {
    current: Type.String({ minLength: 1, maxLength: MAX_PASSWORD_CHARACTERS }),
    password: Password,
  },
  { additionalProperties: false },
)

export const NewUserSchema = Type.Object(
  { name: UserName, role: RoleSchema, password: Password },
  { additionalProperties: false },
)

export const UserPatchSchema = Type.Partial(
  Type.Object({ role: RoleSchema, password: Password, disabled: Type.Boolean() }),
  { additionalProperties: false },
)

export const NewApiTokenSchema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 64,
      pattern: '\\S',
      examples: ['nightly-deploy'],
    }),
    /** Absent: that of the caller, who cannot give more. */
    role: Type.Optional(RoleSchema),
    scopes: Type.Optional(
      Type.Union([Type.Array(TokenScopeSchema, { maxItems: TOKEN_SCOPES.length }), Type.Null()]),
    ),
    expiresInDays: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: MAX_TOKEN_DAYS }), Type.Null()]),
    ),
  },
  { additionalProperties: false },
)

export const CreatedApiTokenSchema = Type.Object({
  token: ApiTokenSchema,
  /** Shown this once. */
  secret: Type.String({ examples: ['stp_…'] }),
})
