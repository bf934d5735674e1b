import { Type, type Static } from 'typebox'

/** Which disk of a machine a run is about. All that are given must match. */
export const DiskHintsSchema = Type.Object(
  {
    serial: Type.Optional(Type.String({ minLength: 1 })),
    wwn: Type.Optional(Type.String({ minLength: 1 })),
    path: Type.Optional(Type.String({ pattern: '^/dev/[^\\s]+$' })),
    model: Type.Optional(Type.String({ minLength: 1 })),
    minBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    maxBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    rotational: Type.Optional(Type.Boolean()),
    removable: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type DiskHints = Static<typeof DiskHintsSchema>
