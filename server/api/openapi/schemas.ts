import {
  ApiTokenSchema,
  AuditEntrySchema,
  RoleSchema,
  SessionSchema,
  UserSchema,
} from '#protocol/account.ts'
import { AgentRunSchema } from '#protocol/run/agent.ts'
import { BootProgressSchema } from '#protocol/machine/boot-progress.ts'
import { DiskHintsSchema } from '#protocol/machine/disk-hints.ts'
import {
  ImageChangeSchema,
  ImageDirectorySchema,
  ImageInfoSchema,
  ImagePartitionSchema,
  ImageSchema,
} from '#protocol/image/image-info.ts'
import { ImageLinkSchema } from '#protocol/image/image-link.ts'
import { ImagePullSchema } from '#protocol/image/image-pull.ts'
import { ImageVersionSchema, RetentionSchema } from '#protocol/image/image-version.ts'
import { DiskSchema, InventorySchema, PartitionSchema } from '#protocol/machine/inventory.ts'
import { LeaseSchema } from '#protocol/lease.ts'
import {
  ActiveRunSchema,
  MachinePatchSchema,
  MachineSchema,
  MachinesPatchSchema,
  MachineStateSchema,
  NetworkSettingsSchema,
} from '#protocol/machine/machine.ts'
import { NetworkStatusSchema } from '#protocol/network-status.ts'
import {
  ExpectedTargetSchema,
  PlanItemSchema,
  PlannedRunRequestSchema,
  PlannedRunsSchema,
  PlanRequestSchema,
  PlanSchema,
} from '#protocol/run/plan.ts'
import { ReceiptKeySchema, SignedReceiptSchema } from '#protocol/run/receipt.ts'
import {
  LogLineSchema,
  ReceiptSchema,
  RunDetailSchema,
  RunOptionsSchema,
  RunRequestSchema,
  RunSchema,
  RunStateSchema,
  SignatureSchema,
  StepSchema,
} from '#protocol/run/run.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import { StoreMigrationSchema } from '#protocol/store-migration.ts'
import { StoreStatusSchema } from '#protocol/store.ts'
import { CheckSchema, SystemStatusSchema } from '#protocol/system-status.ts'
import {
  CreatedWebhookSchema,
  WebhookDeliverySchema,
  WebhookPatchSchema,
  WebhookRequestSchema,
  WebhookSchema,
} from '#protocol/webhook.ts'

/** Schemas that generated clients get as types of their own. */
export const NAMED_SCHEMAS: Record<string, object> = {
  Error: ErrorSchema,
  Machine: MachineSchema,
  MachineState: MachineStateSchema,
  MachinePatch: MachinePatchSchema,
  MachinesPatch: MachinesPatchSchema,
  ActiveRun: ActiveRunSchema,
  BootProgress: BootProgressSchema,
  DiskHints: DiskHintsSchema,
  NetworkSettings: NetworkSettingsSchema,
  Inventory: InventorySchema,
  Disk: DiskSchema,
  Partition: PartitionSchema,
  Plan: PlanSchema,
  PlanItem: PlanItemSchema,
  PlanRequest: PlanRequestSchema,
  PlannedRunRequest: PlannedRunRequestSchema,
  PlannedRuns: PlannedRunsSchema,
  ExpectedTarget: ExpectedTargetSchema,
  Run: RunSchema,
  RunDetail: RunDetailSchema,
  RunRequest: RunRequestSchema,
  RunOptions: RunOptionsSchema,
  RunState: RunStateSchema,
  Step: StepSchema,
  Receipt: ReceiptSchema,
  SignedReceipt: SignedReceiptSchema,
  ReceiptKey: ReceiptKeySchema,
  Signature: SignatureSchema,
  LogLine: LogLineSchema,
  Image: ImageSchema,
  ImageChange: ImageChangeSchema,
  ImageInfo: ImageInfoSchema,
  ImagePartition: ImagePartitionSchema,
  ImageLink: ImageLinkSchema,
  ImageDirectory: ImageDirectorySchema,
  ImagePull: ImagePullSchema,
  ImageVersion: ImageVersionSchema,
  Retention: RetentionSchema,
  Lease: LeaseSchema,
  NetworkStatus: NetworkStatusSchema,
  SystemStatus: SystemStatusSchema,
  Check: CheckSchema,
  StoreStatus: StoreStatusSchema,
  StoreMigration: StoreMigrationSchema,
  Role: RoleSchema,
  User: UserSchema,
  ApiToken: ApiTokenSchema,
  Session: SessionSchema,
  AuditEntry: AuditEntrySchema,
  Webhook: WebhookSchema,
  CreatedWebhook: CreatedWebhookSchema,
  WebhookRequest: WebhookRequestSchema,
  WebhookPatch: WebhookPatchSchema,
  WebhookDelivery: WebhookDeliverySchema,
  AgentRun: AgentRunSchema,
}
