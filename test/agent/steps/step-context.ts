import { exec } from '#agent/exec.ts'
import type { IdentityContext } from '#agent/steps/reset-identity.ts'
import type { AgentRun } from '#protocol/run/agent.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'

export type Recorded = IdentityContext & { warnings: string[]; logs: string[] }

export const BOOT_MAC = '52:54:00:12:34:56'

const DEFAULT_OPTIONS: AgentRun['options'] = {
  grow: true,
  after: 'reboot',
  zeroUnused: false,
  identity: 'reset',
  force: false,
}

/** What a step is given, for a disk; what it says is kept. */
export function createContext(
  disk: { path: string },
  { info = {}, options = {} }: { info?: ImageInfo; options?: Partial<AgentRun['options']> } = {},
): Recorded {
  const warnings: string[] = []
  const logs: string[] = []
  const nic = { name: 'eth0', mac: BOOT_MAC, link: true, addresses: [] }
  return {
    exec,
    disk,
    run: {
      image: { name: 'tiny', info },
      machine: { mac: BOOT_MAC, locked: false },
      options: { ...DEFAULT_OPTIONS, ...options },
    },
    inventory: { nics: [nic] },
    log: (text) => void logs.push(text),
    warn: (text) => void warnings.push(text),
    warnings,
    logs,
  }
}
