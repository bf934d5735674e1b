import { Type, type Static } from 'typebox'
import { Timestamp } from './shapes.ts'

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
      /** `BIOS x86`, `undionly.kpxe`, `agent for run …`, `local disk`. */
      detail: Type.Optional(Type.String()),
    }),
  ),
  /** The script sent it to its disk, so that no kernel and no agent will come. */
  endsAtScript: Type.Optional(Type.Boolean()),
})
export type BootProgress = Static<typeof BootProgressSchema>
