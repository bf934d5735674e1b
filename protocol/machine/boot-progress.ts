import { Type, type Static } from 'typebox'
import { Timestamp } from '../shapes.ts'

/** How far a boot came: what an operator watches until the agent reports. */

export const BOOT_STAGES = ['dhcp', 'loader', 'ipxe', 'script', 'kernel', 'agent'] as const
export type BootStage = (typeof BOOT_STAGES)[number]

export const BootProgressSchema = Type.Object({
  /** The stages that came, in the order of their coming: firmware's DHCP, the loader by TFTP or HTTP,
   * iPXE's DHCP, its script, the kernel, the agent's hello. */
  stages: Type.Array(
    Type.Object({
      stage: Type.Enum(BOOT_STAGES),
      at: Timestamp,
      /** `BIOS`, `undionly.kpxe by TFTP`, `agent, to deploy`, `local disk`. */
      detail: Type.Optional(Type.String()),
    }),
  ),
  /** The script sent it to its disk, so that no kernel and no agent will come. */
  endsAtScript: Type.Optional(Type.Boolean()),
})
export type BootProgress = Static<typeof BootProgressSchema>

/** Something that a machine did on its way. */
export interface BootStep {
  stage: BootStage
  at: Date
  detail?: string
  endsAtScript?: boolean
}

/** The PXE specification has firmware ask for a minute; what comes later is a new try. */
const TRIES_SECONDS = 120
/** No machine is back this soon: what seems to be out of its turn is only told late. */
const SHORTEST_BOOT_SECONDS = 5
/** Nothing of a boot takes this long but a kernel that loads over a slow line. */
const LONGEST_PAUSE_SECONDS = 15 * 60

/**
 * The boot after one more step; undefined if that tells nothing new. A stage that was there, or one
 * before it, begins another boot, unless the machine only repeats what was not answered.
 */
export function advanceBoot(
  boot: BootProgress | undefined,
  step: BootStep,
): BootProgress | undefined {
  const last = boot?.stages.at(-1)
  if (!boot || !last) return beginBoot(step)
  const pauseSeconds = (step.at.getTime() - Date.parse(last.at)) / 1000
  const place = BOOT_STAGES.indexOf(step.stage)
  const reached = reachedStage(boot)
  if (place > reached) {
    const isOther = pauseSeconds > LONGEST_PAUSE_SECONDS && step.stage !== 'agent'
    return isOther ? beginBoot(step) : append(boot, step)
  }
  const isRepeated = boot.stages.some(({ stage }) => stage === step.stage)
  if (pauseSeconds < SHORTEST_BOOT_SECONDS) return isRepeated ? undefined : insert(boot, step)
  if (!BEGINNINGS.has(step.stage)) return undefined // more files of the same boot
  const isAskedAgain = place === reached && step.stage !== 'script'
  return isAskedAgain && pauseSeconds < TRIES_SECONDS ? undefined : beginBoot(step)
}

/** What a boot may begin with, where we hear no DHCP or iPXE is in the card's ROM. */
const BEGINNINGS: ReadonlySet<BootStage> = new Set(['dhcp', 'ipxe', 'script'])

/** Of the stages of a boot the furthest, as a place in BOOT_STAGES. */
function reachedStage({ stages }: BootProgress): number {
  return Math.max(...stages.map(({ stage }) => BOOT_STAGES.indexOf(stage)))
}

function beginBoot(step: BootStep): BootProgress {
  const boot = append({ stages: [] }, step)
  if (step.stage !== 'ipxe') return boot
  // iPXE in the card's ROM is the firmware too: its DHCP is the machine's first.
  const dhcp = { stage: 'dhcp' as const, at: step.at.toISOString(), detail: 'iPXE' }
  return { ...boot, stages: [dhcp, ...boot.stages] }
}

function append(boot: BootProgress, { stage, at, detail, endsAtScript }: BootStep): BootProgress {
  const entry = { stage, at: at.toISOString(), ...(detail !== undefined && { detail }) }
  return { stages: [...boot.stages, entry], ...(endsAtScript && { endsAtScript }) }
}

/** What was told late belongs before what followed it. */
function insert(boot: BootProgress, step: BootStep): BootProgress {
  const place = (stage: BootStage) => BOOT_STAGES.indexOf(stage)
  const stages = append(boot, step).stages.toSorted((a, b) => place(a.stage) - place(b.stage))
  return { ...boot, stages }
}

export interface AwaitedStage {
  stage: BootStage
  /** When the stage before it came. */
  since: string
  /** It should have come by now. */
  isLate: boolean
  /** What to check, a sentence each, the likeliest first. */
  checks: readonly string[]
}

/** What usually takes less; a real machine's firmware is slower than a virtual one's. */
const LIMIT_SECONDS: Record<BootStage, number> = {
  dhcp: 60,
  loader: 20,
  ipxe: 60,
  script: 20,
  kernel: 30,
  agent: 180,
}

/** The stage that has to come next, unless the boot is at its end. */
export function awaitedStage(boot: BootProgress | undefined, now: Date): AwaitedStage | undefined {
  const last = boot?.stages.at(-1)
  if (!boot || !last || boot.endsAtScript) return undefined
  const stage = BOOT_STAGES[reachedStage(boot) + 1]
  if (stage === undefined) return undefined
  const waitedSeconds = (now.getTime() - Date.parse(last.at)) / 1000
  const isLate = waitedSeconds > LIMIT_SECONDS[stage]
  return { stage, since: last.at, isLate, checks: CHECKS[stage] }
}

const CHECKS: Record<BootStage, readonly string[]> = {
  dhcp: ['Network boot is on in the machine’s firmware, and the cable is in the port that boots'],
  loader: [
    'UDP port 69 (TFTP), and port 8080 for UEFI HTTP boot, are open on this server and on the way to it',
    'The machine got an address: beside this server in mode proxy, another DHCP server has to give it one',
    'The other DHCP server sends no boot options of its own: next-server and filename there win over ours',
    'In mode proxy, UDP port 4011 is open too: UEFI asks there for its boot file',
    'There is a boot file for this firmware (Network page)',
  ],
  ipxe: [
    'Secure Boot is off: the firmware loads iPXE and then refuses to start it, without a word on some machines',
    'iPXE has a driver for this network card: another build of it (ipxe.efi for snponly.efi) may know it',
    'The switch forwards at once: spanning tree holds a port back for 30 seconds unless it is an edge port (portfast)',
  ],
  script: [
    'The machine reaches this server by HTTP under the URL on the Network page: open its port on this server and on the way',
    'iPXE got an address by DHCP; its screen says which, or why not',
    'The other DHCP server sends iPXE no boot file of its own',
  ],
  kernel: [
    'There are a kernel and an initramfs (Settings, health); "npm run initramfs" builds them',
    'The machine’s screen says what iPXE could not load',
  ],
  agent: [
    'The machine has 1 GiB of memory or more: less does not hold the initramfs',
    'The network card has a driver in the initramfs: the machine’s console says so if not',
    'The machine’s console, or its serial line at 115200 baud, shows how far it came',
    'The boot token is good for 15 minutes; boot again if loading took longer',
  ],
}
