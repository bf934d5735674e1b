import { Type, type Static } from 'typebox'
import { MacText, Timestamp } from './shapes.ts'

export const LeaseSchema = Type.Object({
  mac: MacText,
  address: Type.String({ examples: ['192.0.2.20'] }),
  state: Type.Enum(['offered', 'bound', 'released', 'declined']),
  hostname: Type.Optional(Type.String()),
  expiresAt: Timestamp,
})
export type Lease = Static<typeof LeaseSchema>
