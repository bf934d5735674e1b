import { Type, type Static, type TSchema } from 'typebox'
import { BootProgressSchema } from './boot-progress.ts'
import { DiskHintsSchema } from './disk-hints.ts'
import { InventorySchema } from './inventory.ts'
import {
  ByteCount,
  ErrorSchema,
  Hostname,
  ImageReference,
  MacText,
  Sha256Text,
  Timestamp,
} from '../shapes.ts'

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

const Tag = Type.String({ minLength: 1, maxLength: 64 })
export const MAX_MACHINE_TAGS = 64
const Tags = Type.Array(Tag, { maxItems: MAX_MACHINE_TAGS })

const operatorFields = {
  name: Type.String({ minLength: 1, maxLength: 253 }),
  /** Written into the deployed system; `name` where it is absent. */
  hostname: Type.Optional(Hostname),
  image: Type.Optional(ImageReference),
  locked: Type.Boolean(),
  tags: Tags,
  disk: Type.Optional(DiskHintsSchema),
  network: Type.Optional(NetworkSettingsSchema),
}

/** `discovered`: seen on the network; `ready`: inventoried or entered by hand, nothing to do. */
export const MACHINE_STATES = [
  'discovered',
  'ready',
  'queued',
  'booting',
  'running',
  'deployed',
  'failed',
] as const
export const MachineStateSchema = Type.Enum(MACHINE_STATES)
export type MachineState = Static<typeof MachineStateSchema>

/** What a machine works on or waits for, as a line of a list shows it. */
export const ActiveRunSchema = Type.Object({
  id: Type.String(),
  workflow: Type.Enum(['deploy', 'capture', 'verify', 'wipe', 'inventory']),
  state: Type.Enum(['queued', 'booting', 'running']),
  /** The step that is being done, null before the first. */
  step: Type.Union([Type.String(), Type.Null()]),
  bytesDone: ByteCount,
  bytesTotal: ByteCount,
  bytesPerSecond: Type.Number({ minimum: 0 }),
  createdAt: Timestamp,
  /** What tells whether its agent is silent, as of any run. */
  claimedBy: Type.Union([Type.Enum(['agent', 'booty']), Type.Null()]),
  lastReportAt: Type.Union([Timestamp, Type.Null()]),
  timesOutAt: Type.Union([Timestamp, Type.Null()]),
})
export type ActiveRun = Static<typeof ActiveRunSchema>

export const MachineSchema = Type.Object({
  mac: MacText,
  macs: Type.Array(MacText),
  ...operatorFields,
  /** From the last inventory's SMBIOS, where that says something of use. */
  manufacturer: Type.Optional(Type.String()),
  product: Type.Optional(Type.String()),
  serial: Type.Optional(Type.String()),
  /** Left out of lists that were asked for with `inventory=false`. */
  inventory: Type.Optional(InventorySchema),
  state: MachineStateSchema,
  lastSeenAt: Type.Union([Timestamp, Type.Null()]),
  /** How far its latest boot came. */
  boot: Type.Optional(BootProgressSchema),
  /** What a deploy put on its disk; absent if nothing did, or something else may have since. */
  imageDigest: Type.Optional(Sha256Text),
  /** Its active run. */
  run: Type.Optional(ActiveRunSchema),
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
    image: nullable(ImageReference),
    disk: nullable(DiskHintsSchema),
    network: nullable(NetworkSettingsSchema),
  },
  { additionalProperties: false },
)
export type MachinePatch = Static<typeof MachinePatchSchema>

/** Of one bulk call; a fleet is changed in several. */
export const MAX_BULK_MACHINES = 1000
const Macs = Type.Array(MacText, { minItems: 1, maxItems: MAX_BULK_MACHINES })

/** `PATCH /api/machines`: the same change to many. */
export const MachinesPatchSchema = Type.Object(
  {
    macs: Macs,
    set: Type.Object(
      {
        image: nullable(ImageReference),
        locked: Type.Optional(Type.Boolean()),
        addTags: Type.Optional(Tags),
        removeTags: Type.Optional(Tags),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  },
  { additionalProperties: false },
)
export type MachinesPatch = Static<typeof MachinesPatchSchema>

/** Those of a bulk call on which nothing was done, and why. */
export const RefusedMachinesSchema = Type.Array(
  Type.Object({ mac: MacText, error: ErrorSchema.properties.error }),
)
export type RefusedMachines = Static<typeof RefusedMachinesSchema>

export const MachinesPatchAnswerSchema = Type.Object({
  /** Without inventories. */
  items: Type.Array(MachineSchema),
  refused: RefusedMachinesSchema,
})

/** `POST /api/machines/delete`. */
export const MachinesDeleteSchema = Type.Object({ macs: Macs }, { additionalProperties: false })
export const MachinesDeleteAnswerSchema = Type.Object({
  deleted: Type.Array(MacText),
  refused: RefusedMachinesSchema,
})

export const MACHINE_SORT_KEYS = [
  'name',
  'mac',
  'state',
  'image',
  'lastSeenAt',
  'product',
  'serial',
] as const
export type MachineSortKey = (typeof MACHINE_SORT_KEYS)[number]
