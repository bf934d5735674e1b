import { Type, type Static, type TSchema } from 'typebox'
import { DiskHintsSchema } from '../machine/disk-hints.ts'
import { NetworkSettingsSchema } from '../machine/machine.ts'
import { ByteCount, Hostname, ImageReference, MacText, Sha256Text, Timestamp } from '../shapes.ts'

/** One execution of a workflow on one machine. */

export const WORKFLOWS = ['deploy', 'capture', 'verify', 'wipe', 'inventory'] as const
export const WorkflowSchema = Type.Enum(WORKFLOWS)
export type Workflow = (typeof WORKFLOWS)[number]

export const ACTIVE_RUN_STATES = ['queued', 'booting', 'running'] as const
export const FINAL_RUN_STATES = ['succeeded', 'failed', 'cancelled', 'timed-out'] as const
export const RunStateSchema = Type.Enum([...ACTIVE_RUN_STATES, ...FINAL_RUN_STATES])
export type ActiveRunState = (typeof ACTIVE_RUN_STATES)[number]
export type FinalRunState = (typeof FINAL_RUN_STATES)[number]
export type RunState = ActiveRunState | FinalRunState

/** The steps of the built-in workflows, in order. */
export const STEPS_OF_WORKFLOW = {
  deploy: [
    'check-machine',
    'write-image',
    'grow-root',
    'reset-identity',
    'set-identity',
    'boot-entry',
  ],
  capture: ['check-machine', 'read-image'],
  verify: ['check-machine', 'compare-disk'],
  wipe: ['check-machine', 'wipe-disk'],
  inventory: ['inventory'],
} as const satisfies Record<Workflow, readonly string[]>
export type StepName = (typeof STEPS_OF_WORKFLOW)[Workflow][number]

export const RunRequestSchema = Type.Object(
  {
    mac: MacText,
    workflow: WorkflowSchema,
    image: Type.Optional(ImageReference),
    disk: Type.Optional(DiskHintsSchema),
    grow: Type.Optional(Type.Boolean()),
    hostname: Type.Optional(Hostname),
    network: Type.Optional(NetworkSettingsSchema),
    after: Type.Optional(Type.Enum(['reboot', 'poweroff'])),
    zeroUnused: Type.Optional(Type.Boolean()),
    identity: Type.Optional(Type.Enum(['reset', 'keep'])),
    /** Deploy although the image seems unable to boot on this firmware or processor. */
    force: Type.Optional(Type.Boolean()),
    /** Deploy to a disk smaller than the image, if its partitions end before that does. */
    allowShrink: Type.Optional(Type.Boolean()),
    /** Capture all of the disk, the free space of its file systems included. */
    wholeDisk: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type RunRequest = Static<typeof RunRequestSchema>

/** A run's settings with every default filled in. */
export const RunOptionsSchema = Type.Object({
  disk: Type.Optional(DiskHintsSchema),
  grow: Type.Boolean(),
  hostname: Type.Optional(Hostname),
  network: Type.Optional(NetworkSettingsSchema),
  after: Type.Enum(['reboot', 'poweroff']),
  zeroUnused: Type.Boolean(),
  identity: Type.Enum(['reset', 'keep']),
  force: Type.Boolean(),
  allowShrink: Type.Optional(Type.Boolean()),
  wholeDisk: Type.Optional(Type.Boolean()),
})
export type RunOptions = Static<typeof RunOptionsSchema>

export const STEP_STATES = ['pending', 'running', 'succeeded', 'failed', 'skipped'] as const
/** How far a step got: as the agent reports it and as the run tells it. */
export const STEP_PROGRESS = {
  state: Type.Enum(STEP_STATES),
  bytesDone: ByteCount,
  bytesTotal: ByteCount,
  bytesPerSecond: Type.Number({ minimum: 0 }),
  /** A warning, or why the step was skipped. */
  message: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
}
export const StepSchema = Type.Object({
  name: Type.String(),
  ...STEP_PROGRESS,
  startedAt: Type.Optional(Timestamp),
  finishedAt: Type.Optional(Timestamp),
})
export type Step = Static<typeof StepSchema>

/** By the key of the server, over the canonical JSON (RFC 8785) of all else in the document. */
export const SignatureSchema = Type.Object({
  /** The key's thumbprint (RFC 7638). */
  keyId: Type.String(),
  algorithm: Type.Literal('ed25519'),
  /** Base64url. */
  value: Type.String(),
})
export type Signature = Static<typeof SignatureSchema>

/** Where a disk holds something else than an image. MiB are chunks of the disk, counted from 0. */
export const ComparisonSchema = Type.Object({
  matches: Type.Boolean(),
  chunksCompared: Type.Integer({ minimum: 0 }),
  chunksDiffering: Type.Integer({ minimum: 0 }),
  /** Of those that differ. */
  chunksUnreadable: Type.Integer({ minimum: 0 }),
  /** Free space of file systems, of which the image has no content. */
  chunksUnused: Type.Integer({ minimum: 0 }),
  /** Half-open ranges of MiB; the first of them, if there are more than 1,000. */
  differing: Type.Array(
    Type.Object({ startMib: Type.Integer({ minimum: 0 }), endMib: Type.Integer({ minimum: 0 }) }),
    { maxItems: 1000 },
  ),
  partitions: Type.Array(
    Type.Object({
      number: Type.Integer({ minimum: 0 }),
      name: Type.Optional(Type.String()),
      chunksDiffering: Type.Integer({ minimum: 0 }),
    }),
  ),
  /** Of those that differ, in no partition: tables, boot code, gaps. */
  chunksOutside: Type.Integer({ minimum: 0 }),
})
export type DiskComparison = Static<typeof ComparisonSchema>

/** What a finished run proves. */
export const ReceiptSchema = Type.Object({
  imageName: Type.Optional(Type.String()),
  imageDigest: Type.Optional(Sha256Text),
  disk: Type.Optional(
    Type.Object({
      path: Type.String(),
      serial: Type.Optional(Type.String()),
      wwn: Type.Optional(Type.String()),
      model: Type.Optional(Type.String()),
      sizeBytes: ByteCount,
    }),
  ),
  /** The image went out whole, to a client that reports nothing (BOOTy). */
  delivered: Type.Optional(Type.Boolean()),
  /** Every byte was hashed before its write and read back from the device after it, or found there. */
  imageVerified: Type.Boolean(),
  bytesRead: Type.Optional(ByteCount),
  bytesSent: Type.Optional(ByteCount),
  /** Zeros included. */
  bytesWritten: Type.Optional(ByteCount),
  /** Those of the bytes written that are zeros. */
  bytesZeroed: Type.Optional(ByteCount),
  /** Read from the disk and found to be what the image has there, so left alone. */
  bytesSkipped: Type.Optional(ByteCount),
  /** Of chunks, segments and the manifest, as they came over the network. */
  bytesFetched: Type.Optional(ByteCount),
  /** Read from the device and compared: after their write, or in its stead. */
  bytesVerified: Type.Optional(ByteCount),
  /** Free space of a known file system, neither written nor read back. */
  bytesUnused: Type.Optional(ByteCount),
  /** The disk is smaller than the image, which was cut behind its last partition. */
  shrunk: Type.Optional(
    Type.Object({
      imageBytes: ByteCount,
      diskBytes: ByteCount,
      /** Of the image as it is on the disk: its GPT tells of the disk's end. */
      writtenDigest: Sha256Text,
    }),
  ),
  /** Of a verify, also where the disk differs and the run failed for that. */
  comparison: Type.Optional(ComparisonSchema),
  /** What did not stop the run but the operator should know. */
  warnings: Type.Array(Type.String()),
  agentVersion: Type.Optional(Type.String()),
  /** Seconds of each phase of the writing; reading back goes on beside the writing, too. */
  durations: Type.Optional(
    Type.Object({
      compareSeconds: Type.Optional(Type.Number({ minimum: 0 })),
      writeSeconds: Type.Optional(Type.Number({ minimum: 0 })),
      readBackSeconds: Type.Optional(Type.Number({ minimum: 0 })),
    }),
  ),
  startedAt: Timestamp,
  finishedAt: Timestamp,
  signature: Type.Optional(SignatureSchema),
})
export type Receipt = Static<typeof ReceiptSchema>

function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()])
}

export const RunSchema = Type.Object({
  id: Type.String(),
  mac: MacText,
  workflow: WorkflowSchema,
  state: RunStateSchema,
  attempts: Type.Integer({ minimum: 0 }),
  image: nullable(ImageReference),
  /** Pinned when the run is created: a later image of that name changes nothing. */
  imageDigest: nullable(Sha256Text),
  /** The plan that it is held to, if it was started from one. */
  plan: nullable(Type.String()),
  options: RunOptionsSchema,
  steps: Type.Array(StepSchema),
  /** Who does it: our agent, or an unmodified BOOTy. */
  claimedBy: nullable(Type.Enum(['agent', 'booty'])),
  cancelRequested: Type.Boolean(),
  error: nullable(Type.String()),
  receipt: nullable(ReceiptSchema),
  createdAt: Timestamp,
  startedAt: nullable(Timestamp),
  /** Of the agent at work; null before its first report. */
  lastReportAt: nullable(Timestamp),
  /** When it ends if nothing is heard until then; null unless it boots or runs. */
  timesOutAt: nullable(Timestamp),
  finishedAt: nullable(Timestamp),
})
export type Run = Static<typeof RunSchema>

export const LogLineSchema = Type.Object({
  offset: Type.Integer({ minimum: 0 }),
  at: Timestamp,
  text: Type.String(),
})
export type LogLine = Static<typeof LogLineSchema>

/** `GET /api/runs/{id}`: the run and the end of its agent's log. */
export const RunDetailSchema = Type.Object({
  ...RunSchema.properties,
  log: Type.Array(LogLineSchema),
})
export type RunDetail = Static<typeof RunDetailSchema>
