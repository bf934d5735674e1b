import { Type, type Static, type TSchema } from 'typebox'
import { DiskHintsSchema } from './disk-hints.ts'
import { InventorySchema } from './inventory.ts'
import { Hostname, ImageName, MacText, Timestamp } from './shapes.ts'

/** Static network settings written into the deployed system. */
export const NetworkSettingsSchema = Type.Object(
  {
    /** CIDR: `192.0.2.10/24`. */
    address: Type.String({ pattern: '^\\d{1,3}(\\.\\d{1,3}){3}/\\d{1,2}$' }),
    gateway: Type.Optional(Type.String({ pattern: '^\\d{1,3}(\\.\\d{1,3}){3}$' })),
    nameservers: Type.Optional(Type.Array(Type.String({ pattern: '^\\d{1,3}(\\.\\d{1,3}){3}$' }))),
  },
  { additionalProperties: false },
)
export type NetworkSettings = Static<typeof NetworkSettingsSchema>

const operatorFields = {
  name: Type.String({ minLength: 1, maxLength: 253 }),
  /** Written into the deployed system; `name` where it is absent. */
  hostname: Type.Optional(Hostname),
  image: Type.Optional(ImageName),
  locked: Type.Boolean(),
  tags: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 64 }),
  disk: Type.Optional(DiskHintsSchema),
  network: Type.Optional(NetworkSettingsSchema),
}

/** `discovered`: seen on the network; `ready`: inventoried or entered by hand, nothing to do. */
export const MachineStateSchema = Type.Enum([
  'discovered',
  'ready',
  'queued',
  'booting',
  'running',
  'deployed',
  'failed',
])
export type MachineState = Static<typeof MachineStateSchema>

export const MachineSchema = Type.Object({
  mac: MacText,
  macs: Type.Array(MacText),
  ...operatorFields,
  inventory: Type.Optional(InventorySchema),
  state: MachineStateSchema,
  lastSeenAt: Type.Union([Timestamp, Type.Null()]),
})
export type Machine = Static<typeof MachineSchema>

/** PUT: replaces the operator's fields; what is absent gets its default. */
export const MachinePutSchema = Type.Object(
  {
    ...operatorFields,
    name: Type.Optional(operatorFields.name),
    locked: Type.Optional(operatorFields.locked),
    tags: Type.Optional(operatorFields.tags),
  },
  { additionalProperties: false },
)
export type MachinePut = Static<typeof MachinePutSchema>

function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Optional(Type.Union([schema, Type.Null()]))
}

/** PATCH: changes what is given; null removes an optional field. */
export const MachinePatchSchema = Type.Object(
  {
    name: Type.Optional(operatorFields.name),
    locked: Type.Optional(operatorFields.locked),
    tags: Type.Optional(operatorFields.tags),
    hostname: nullable(Hostname),
    image: nullable(ImageName),
    disk: nullable(DiskHintsSchema),
    network: nullable(NetworkSettingsSchema),
  },
  { additionalProperties: false },
)
export type MachinePatch = Static<typeof MachinePatchSchema>
