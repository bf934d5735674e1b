import { createChunkClient } from '#agent/client/http-chunk-client.ts'
import { createHttpClient } from '#agent/client/http.ts'
import { exec } from '#agent/exec.ts'
import type { ReceiptFacts, StepContext } from '#agent/steps/step.ts'
import type { AgentRun } from '#protocol/run/agent.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { RunOptions } from '#protocol/run/run.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'

export const SAMPLE_DISK: Disk = {
  path: '/dev/sda',
  model: 'QEMU HARDDISK',
  serial: 'S4EV',
  sizeBytes: 8_000_000_000,
  sectorBytes: 512,
  rotational: false,
  removable: false,
  readOnly: false,
  transport: 'sata',
  partitionTable: { type: 'none' },
  partitions: [],
  fingerprint: '0'.repeat(64),
}

export const SAMPLE_INVENTORY: Inventory = {
  at: '2026-05-01T12:00:00.000Z',
  agentVersion: '0.1.0',
  firmware: 'bios',
  architecture: 'x86_64',
  smbios: {},
  cpu: { sockets: 1, cores: 1, threads: 1 },
  memoryBytes: 1_000_000_000,
  disks: [SAMPLE_DISK],
  nics: [],
}

export interface TestContextOptions {
  serverUrl: string
  workflow?: AgentRun['workflow']
  image?: { name: string; digest?: Sha256; info?: ImageInfo }
  disk?: Disk
  inventory?: Partial<Inventory>
  machine?: Partial<AgentRun['machine']>
  options?: Partial<RunOptions>
  signal?: AbortSignal
  onProgress?: (bytesDone: number, bytesTotal: number) => void
}

export interface TestContext extends StepContext {
  readonly lines: string[]
  readonly warnings: string[]
  readonly facts: ReceiptFacts
}

/** What a step is given in a run, its effects kept for the test to look at. */
export function createTestContext(options: TestContextOptions): TestContext {
  const disk = options.disk ?? SAMPLE_DISK
  const { workflow = 'deploy' } = options
  const signal = options.signal ?? new AbortController().signal
  const http = createHttpClient({
    serverUrl: options.serverUrl,
    token: undefined,
    maxOutageSeconds: 240,
  })
  const lines: string[] = []
  const warnings: string[] = []
  const facts: ReceiptFacts = {}
  return {
    run: {
      id: 'run-1',
      attempt: 1,
      workflow,
      steps: [],
      machine: { mac: '52:54:00:12:34:56', locked: false, ...options.machine },
      ...(options.image && { image: options.image }),
      options: {
        grow: true,
        after: 'reboot',
        zeroUnused: false,
        identity: 'reset',
        force: false,
        // Loop devices are taken only by name.
        disk: { path: disk.path },
        ...options.options,
      },
    },
    inventory: { ...SAMPLE_INVENTORY, disks: [disk], ...options.inventory },
    disk,
    chunks: createChunkClient(http),
    signal,
    exec: (command, args, execOptions) => exec(command, args, { signal, ...execOptions }),
    log: (text) => void lines.push(text),
    warn: (text) => void warnings.push(text),
    progress: (done, total) => options.onProgress?.(done, total),
    receipt: (more) => void Object.assign(facts, more),
    lines,
    warnings,
    facts,
  }
}
