import { BOOT_STAGES, type BootProgress, type BootStage } from '#protocol/boot-progress.ts'
import { ago, duration, printable } from './text.ts'

/** How far a boot came, and what to check when it goes no further. */

/** Seconds that the stage after this one may take on slow hardware before somebody should look. */
const PATIENCE_SECONDS: Record<BootStage, number> = {
  dhcp: 30,
  loader: 30,
  ipxe: 20,
  script: 60,
  kernel: 180,
  agent: Infinity,
}

const NAMES: Record<BootStage, string> = {
  dhcp: 'DHCP',
  loader: 'boot loader',
  ipxe: 'iPXE',
  script: 'script',
  kernel: 'kernel',
  agent: 'agent',
}

/** By the last stage that came. */
const ADVICE: Record<BootStage, string> = {
  dhcp: 'check that UDP port 69 reaches the server (or its HTTP port, for UEFI HTTP boot), that no other DHCP server names another boot server, and that Secure Boot is off',
  loader:
    'the loader was fetched but its iPXE has not asked for an address: check Secure Boot, and whether the firmware suits the loader (BIOS or UEFI)',
  ipxe: 'check that the server’s HTTP port is reachable from that network, and that STAMPEDE_URL is an address that machines reach',
  script:
    'check that kernel and initramfs are built ("stampede doctor"), and that the machine has at least 1 GiB of memory',
  kernel:
    'look at its screen: the kernel may lack a driver for this network card, or get no address from DHCP',
  agent: '',
}

export function describeBoot(boot: BootProgress | undefined): string | undefined {
  const last = boot?.stages.at(-1)
  if (!last) return undefined
  return `${NAMES[last.stage]}${last.detail ? ` (${printable(last.detail)})` : ''} ${ago(last.at)}`
}

/** Each stage on a line, with the time since the one before; then what is missing. */
export function bootLines(boot: BootProgress, now = Date.now()): string[] {
  const lines = boot.stages.map(({ stage, at, detail }, index) => {
    const before = boot.stages[index - 1]
    const after = before && (Date.parse(at) - Date.parse(before.at)) / 1000
    const times = after === undefined ? ago(at, now) : `+${duration(Math.max(0, after))}`
    return `${NAMES[stage].padEnd(11)} ${times.padEnd(12)} ${printable(detail ?? '')}`.trimEnd()
  })
  const stuck = findStuck(boot, now)
  return stuck ? [...lines, stuck] : lines
}

/** A sentence if the next stage should have come by now. */
export function findStuck(boot: BootProgress | undefined, now = Date.now()): string | undefined {
  const last = boot?.stages.at(-1)
  if (!last || last.stage === 'agent' || (last.stage === 'script' && boot?.endsAtScript))
    return undefined
  const waited = (now - Date.parse(last.at)) / 1000
  if (waited < PATIENCE_SECONDS[last.stage]) return undefined
  const next = BOOT_STAGES[BOOT_STAGES.indexOf(last.stage) + 1]!
  return `no ${NAMES[next]} for ${duration(waited)}: ${ADVICE[last.stage]}`
}
