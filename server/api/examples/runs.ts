import type { AgentRun, Hello, Log, Report, Result } from '#protocol/run/agent.ts'
import type { Plan, PlanRequest } from '#protocol/run/plan.ts'
import type { Receipt, Run, RunOptions, Step } from '#protocol/run/run.ts'
import { signedReceipt, type ReceiptKey } from '#protocol/run/receipt.ts'
import type { BootyConfig } from '#server/boot/booty.ts'
import type { Examples } from '../openapi/add-examples.ts'
import { INVENTORY } from './machines.ts'
import {
  AT,
  DIGEST,
  DISK_BYTES,
  FINGERPRINT,
  IMAGE_BYTES,
  IMAGE_NAME,
  LATER,
  listWith,
  MAC,
  PLAN_ID,
  RUN_ID,
} from './values.ts'

const options: RunOptions = {
  grow: true,
  after: 'reboot',
  zeroUnused: false,
  identity: 'reset',
  force: false,
}
const step: Step = {
  name: 'write-image',
  state: 'running',
  bytesDone: 1_717_986_918,
  bytesTotal: IMAGE_BYTES,
  bytesPerSecond: 1_100_000_000,
  startedAt: AT,
}
const target = {
  path: '/dev/nvme0n1',
  model: 'Samsung SSD 980',
  serial: 'S64DNL0T123456X',
  sizeBytes: DISK_BYTES,
  sectorBytes: 512,
  fingerprint: FINGERPRINT,
}
const { fingerprint: _fingerprint, sectorBytes: _sectorBytes, ...receiptDisk } = target
const receipt: Receipt = {
  imageName: IMAGE_NAME,
  imageDigest: DIGEST,
  disk: receiptDisk,
  imageVerified: true,
  bytesWritten: 117_440_512,
  bytesZeroed: 0,
  bytesSkipped: 1_600_546_406,
  bytesFetched: 48_300_201,
  bytesVerified: 1_717_986_918,
  bytesUnused: IMAGE_BYTES - 1_717_986_918,
  warnings: [],
  agentVersion: '0.1.0',
  durations: { compareSeconds: 2.4, writeSeconds: 0.9, readBackSeconds: 0.1 },
  startedAt: AT,
  finishedAt: LATER,
  signature: {
    keyId: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
    algorithm: 'ed25519',
    value: 'Hy2bWy1rkQ…',
  },
}
/** RFC 8037, appendix A. */
const RECEIPT_KEY: ReceiptKey = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  alg: 'EdDSA',
  use: 'sig',
  pem: '-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n',
}
const run: Run = {
  id: RUN_ID,
  mac: MAC,
  workflow: 'deploy',
  state: 'running',
  attempts: 1,
  image: IMAGE_NAME,
  imageDigest: DIGEST,
  plan: PLAN_ID,
  options,
  steps: [step],
  claimedBy: 'agent',
  cancelRequested: false,
  error: null,
  receipt: null,
  createdAt: AT,
  startedAt: AT,
  lastReportAt: AT,
  timesOutAt: '2026-05-01T12:10:00.000Z',
  finishedAt: null,
}
const done: Run = {
  ...run,
  state: 'succeeded',
  receipt,
  lastReportAt: LATER,
  timesOutAt: null,
  finishedAt: LATER,
}
const lineOfLog = { offset: 0, at: AT, text: 'Disk /dev/nvme0n1 (S64DNL0T123456X) it is' }

const planRequest: PlanRequest = {
  workflow: 'deploy',
  macs: [MAC],
  image: IMAGE_NAME,
}
const plan: Plan = {
  id: PLAN_ID,
  createdBy: 'maria',
  workflow: 'deploy',
  image: IMAGE_NAME,
  imageDigest: DIGEST,
  request: planRequest,
  createdAt: AT,
  expiresAt: '2026-05-01T13:00:00.000Z',
  destructive: true,
  confirmation: 'node7',
  items: [
    {
      mac: MAC,
      name: 'rack3-node7',
      hostname: 'node7',
      image: IMAGE_NAME,
      imageDigest: DIGEST,
      inventoryAt: AT,
      options,
      target,
      present: {
        partitionTable: 'gpt',
        partitions: INVENTORY.disks[0]!.partitions,
        operatingSystem: 'Windows',
      },
      losses: ['Partition 1 (vfat "EFI", 537 MB)'],
      untouched: [],
      fit: {
        imageBytes: IMAGE_BYTES,
        diskBytes: DISK_BYTES,
        grows: { partition: 2, fromBytes: 10_199_498_752, toBytes: 499_569_942_528 },
      },
      problems: [],
      warnings: [],
    },
  ],
}

const agentRun: AgentRun = {
  id: RUN_ID,
  attempt: 1,
  workflow: 'deploy',
  steps: ['check-machine', 'write-image', 'grow-root'],
  machine: { mac: MAC, locked: false, smbiosSerial: '7GK2XX3' },
  image: { name: IMAGE_NAME, digest: DIGEST, sizeBytes: IMAGE_BYTES, sectorBytes: 512 },
  expected: target,
  options,
}
const hello: Hello = { bootToken: '9vZ…', mac: MAC, inventory: INVENTORY }
const { startedAt: _startedAt, name: _name, ...progress } = step
const report: Report = { attempt: 1, sequence: 7, at: AT, step: 'write-image', ...progress }
const log: Log = { offset: 0, lines: [{ at: AT, text: lineOfLog.text }] }
const result: Result = { state: 'succeeded', receipt }
const bootyConfig: BootyConfig = {
  action: 'writeImage',
  compressed: true,
  sourceImage: `http://192.0.2.1:8080/l/kQ7…/${IMAGE_NAME}.img.gz`,
  destinationDevice: '/dev/sda',
  growDisk: true,
  growPartition: 2,
  lvmRootName: '/dev/vg/root',
  dryRun: false,
  dropToShell: false,
  wipeDevice: false,
}

export const RUN_EXAMPLES: Examples = {
  'POST /api/plans': { body: planRequest, answers: { 201: plan } },
  'GET /api/plans/{id}': { answers: { 200: plan } },
  'POST /api/runs': {
    body: { plan: PLAN_ID, confirmation: 'node7' },
    answers: { 201: { ...run, state: 'queued', attempts: 0, steps: [] } },
  },
  'GET /api/runs': { answers: { 200: { items: [done], next: RUN_ID } } },
  'GET /api/runs/{id}': { answers: { 200: { ...done, log: [lineOfLog] } } },
  'GET /api/runs/{id}/log': { answers: { 200: listWith(lineOfLog) } },
  'GET /api/runs/{id}/receipt': { answers: { 200: signedReceipt(done, receipt) } },
  'GET /api/receipt-key': { answers: { 200: RECEIPT_KEY } },
  'POST /api/runs/{id}/cancel': { answers: { 200: { ...run, cancelRequested: true } } },
  'POST /agent/hello': {
    body: hello,
    answers: { 200: { sessionToken: 'hT2…', run: agentRun } },
  },
  'POST /agent/runs/{id}/reports': { body: report, answers: { 200: { cancel: false } } },
  'POST /agent/runs/{id}/log': { body: log },
  'POST /agent/runs/{id}/result': { body: result, answers: { 200: done } },
  'GET /{file}': { answers: { 200: bootyConfig } },
  'GET /api/events': {
    answers: {
      200: `retry: 2000\nid: 4710\n\nid: 4711\nevent: run\ndata: ${JSON.stringify(run)}\n\n`,
    },
  },
}
