import { Type, type Static } from 'typebox'
import { ImageInfoSchema } from '../image/image-info.ts'
import { InventorySchema } from '../machine/inventory.ts'
import { ExpectedTargetSchema } from './plan.ts'
import { ReceiptSchema, RunOptionsSchema, STEP_PROGRESS, WorkflowSchema } from './run.ts'
import { ByteCount, ImageName, MacText, Sha256Text, Timestamp } from '../shapes.ts'

/** What agent and server say to each other while a run goes on. */

/** No report for this long and another agent may take the run. */
export const AGENT_SILENCE_SECONDS = 60
/** The agent reports at most this often. */
export const REPORT_INTERVAL_MILLISECONDS = 1000
export const MAX_LOG_LINES = 1000
export const MAX_LOG_LINE_CHARACTERS = 4096

export const HelloSchema = Type.Object({
  bootToken: Type.String({ minLength: 1, maxLength: 256 }),
  mac: MacText,
  inventory: InventorySchema,
})
export type Hello = Static<typeof HelloSchema>

/** The run as the agent needs it: every decision that the server has made, none left to guess. */
export const AgentRunSchema = Type.Object({
  id: Type.String(),
  attempt: Type.Integer({ minimum: 1 }),
  workflow: WorkflowSchema,
  steps: Type.Array(Type.String()),
  machine: Type.Object({
    mac: MacText,
    locked: Type.Boolean(),
    /** What the record says; a different reading stops the run before the first write. */
    smbiosUuid: Type.Optional(Type.String()),
    smbiosSerial: Type.Optional(Type.String()),
  }),
  /** `capture`: the name alone, for the image to be. */
  image: Type.Optional(
    Type.Object({
      name: ImageName,
      digest: Type.Optional(Sha256Text),
      sizeBytes: Type.Optional(ByteCount),
      sectorBytes: Type.Optional(Type.Integer()),
      info: Type.Optional(ImageInfoSchema),
    }),
  ),
  /** From the plan: anything else on this machine stops the run before the first write. */
  expected: Type.Optional(ExpectedTargetSchema),
  options: RunOptionsSchema,
})
export type AgentRun = Static<typeof AgentRunSchema>

export const HelloAnswerSchema = Type.Object({
  sessionToken: Type.String(),
  /** null: the machine was only to be inventoried. */
  run: Type.Union([AgentRunSchema, Type.Null()]),
})
export type HelloAnswer = Static<typeof HelloAnswerSchema>

export const ReportSchema = Type.Object({
  attempt: Type.Integer({ minimum: 1 }),
  /** Counts up from 0 within an attempt; a repeated one gets the same answer. */
  sequence: Type.Integer({ minimum: 0 }),
  at: Timestamp,
  step: Type.String(),
  ...STEP_PROGRESS,
})
export type Report = Static<typeof ReportSchema>

export const ReportAnswerSchema = Type.Object({ cancel: Type.Boolean() })
export type ReportAnswer = Static<typeof ReportAnswerSchema>

export const LogSchema = Type.Object({
  /** Number of the first line: lines that the server has already are ignored. */
  offset: Type.Integer({ minimum: 0 }),
  lines: Type.Array(
    Type.Object({ at: Timestamp, text: Type.String({ maxLength: MAX_LOG_LINE_CHARACTERS }) }),
    { maxItems: MAX_LOG_LINES },
  ),
})
export type Log = Static<typeof LogSchema>

export const ResultSchema = Type.Object({
  state: Type.Enum(['succeeded', 'failed', 'cancelled']),
  /** Also of a failed run, where the image had been written and verified by then. */
  receipt: Type.Optional(ReceiptSchema),
  error: Type.Optional(Type.String()),
  /** After a run that wrote: what is on the disks now, for whoever plans the next one. */
  inventory: Type.Optional(InventorySchema),
})
export type Result = Static<typeof ResultSchema>
