import { Type, type Static, type TSchema } from 'typebox'
import { PartitionSchema, FileSystemSchema } from '../machine/inventory.ts'
import { RunOptionsSchema, RunRequestSchema, RunSchema, WorkflowSchema } from './run.ts'
import {
  ByteCount,
  ErrorSchema,
  ImageReference,
  MacText,
  Sha256Text,
  Timestamp,
} from '../shapes.ts'

/** What would happen to which disks, to be read before anything does; runs are held to it. */

function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()])
}

const { mac: _mac, workflow: _workflow, ...runSettings } = RunRequestSchema.properties

/** `POST /api/plans`: the settings of a run, for any number of machines. */
export const PlanRequestSchema = Type.Object(
  {
    workflow: Type.Enum(['deploy', 'capture', 'wipe']),
    macs: Type.Array(MacText, { minItems: 1, maxItems: 1000 }),
    ...runSettings,
  },
  { additionalProperties: false },
)
export type PlanRequest = Static<typeof PlanRequestSchema>

/** The disk that a run may touch, as the last inventory described it. */
export const ExpectedTargetSchema = Type.Object({
  path: Type.String(),
  model: Type.Optional(Type.String()),
  serial: Type.Optional(Type.String()),
  wwn: Type.Optional(Type.String()),
  sizeBytes: ByteCount,
  sectorBytes: Type.Integer(),
  /**
   * Of its layout: partition table, file systems, labels. Absent: the disk is only read, or a run of
   * ours has written to it since it was looked at, so what is on it now is not known.
   */
  fingerprint: Type.Optional(Sha256Text),
})
export type ExpectedTarget = Static<typeof ExpectedTargetSchema>

/** As in run-checks.ts. */
const FindingSchema = Type.Object({
  /** Stable, kebab-case, for programs. */
  code: Type.String(),
  /** A finished sentence for people. */
  message: Type.String(),
})

export const PlanItemSchema = Type.Object({
  mac: MacText,
  name: Type.String(),
  /** What the deployed system is called; null: nothing that the machine is called fits. */
  hostname: nullable(Type.String()),
  /** Of a deploy, its own where the request names none; of a capture, the one to be. */
  image: nullable(ImageReference),
  /** Pinned: a later image of that name changes nothing. */
  imageDigest: nullable(Sha256Text),
  /** The inventory that this is taken from; null: there is none, and nothing can be planned. */
  inventoryAt: nullable(Timestamp),
  options: nullable(RunOptionsSchema),
  target: nullable(ExpectedTargetSchema),
  /** What is on the target now, all of which a deploy or a wipe destroys. */
  present: nullable(
    Type.Object({
      partitionTable: Type.Enum(['gpt', 'mbr', 'none']),
      partitions: Type.Array(PartitionSchema),
      fileSystem: Type.Optional(FileSystemSchema),
      /** An operating system, as far as labels tell: `Windows`, `Linux (LVM)`. */
      operatingSystem: Type.Optional(Type.String()),
      /** Why it is not known what is there, as in the inventory. */
      layoutError: Type.Optional(Type.String()),
    }),
  ),
  /** What will be lost, a sentence each; empty where nothing is written. */
  losses: Type.Array(Type.String()),
  /** Other disks of the machine, which stay as they are. */
  untouched: Type.Array(
    Type.Object({
      path: Type.String(),
      model: Type.Optional(Type.String()),
      serial: Type.Optional(Type.String()),
      sizeBytes: ByteCount,
    }),
  ),
  /** deploy: whether the image fits, and what grows. */
  fit: nullable(
    Type.Object({
      imageBytes: ByteCount,
      diskBytes: ByteCount,
      /** The root partition grows to the end of the disk; null: it does not. */
      grows: nullable(
        Type.Object({ partition: Type.Integer(), fromBytes: ByteCount, toBytes: ByteCount }),
      ),
    }),
  ),
  /** Why no run may be started on it; empty: one may. */
  problems: Type.Array(FindingSchema),
  /** What does not stop it but the operator should know. */
  warnings: Type.Array(FindingSchema),
})
export type PlanItem = Static<typeof PlanItemSchema>

export const PlanSchema = Type.Object({
  id: Type.String(),
  /** Who may start its runs, besides admins. */
  createdBy: Type.String(),
  workflow: WorkflowSchema,
  /** The one image of all its machines; null: they have several, or none. */
  image: nullable(ImageReference),
  imageDigest: nullable(Sha256Text),
  /** What was asked for: sent once more, it makes the plan anew. */
  request: PlanRequestSchema,
  createdAt: Timestamp,
  /** After this it has to be made anew. */
  expiresAt: Timestamp,
  /** Whether data is destroyed. */
  destructive: Type.Boolean(),
  /** What a person has to type: the hostname of the one machine, or how many machines are to run. */
  confirmation: Type.String(),
  items: Type.Array(PlanItemSchema),
})
export type Plan = Static<typeof PlanSchema>

/** `POST /api/runs` with a plan: of one of its machines, or of all that have no problem. */
export const PlannedRunRequestSchema = Type.Object(
  {
    plan: Type.String(),
    mac: Type.Optional(MacText),
    /** What the person typed; if it is there it must be the plan's `confirmation`, or with `mac` that machine's hostname. */
    confirmation: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)
export type PlannedRunRequest = Static<typeof PlannedRunRequestSchema>

/** `POST /api/runs` for several machines: each run is made or refused for itself. */
export const PlannedRunsSchema = Type.Object({
  items: Type.Array(RunSchema),
  refused: Type.Array(Type.Object({ mac: MacText, error: ErrorSchema.properties.error })),
  next: Type.Null(),
})
export type PlannedRuns = Static<typeof PlannedRunsSchema>
