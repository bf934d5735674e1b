import type { BootMode, ImageInfo } from '../image/image-info.ts'
import { GptDecodeError } from '../disk/gpt.ts'
import type { Finding } from './run-checks.ts'
import { bootModes, parsePartitionTable } from '../disk/partition-table.ts'

export interface Bootability {
  /** Why the image cannot boot here. */
  refusal?: Finding
  /** What could not be told. */
  warning?: Finding
}

/** Programs of the key's processor that run on another, too. */
const ALSO_RUNS: Record<string, readonly string[]> = {
  x86_64: ['i386', 'i486', 'i586', 'i686'],
  aarch64: ['armv7l', 'armv6l'],
}

/**
 * Whether an image can boot on a machine: `head` is the image's first chunk, which counts only where
 * nothing was noted of the image, as it always is when it comes. An image for which no
 * way of booting is found may hold only data, or boot in a manner that we don't know: a warning.
 */
export function judgeBootability(
  image: { head?: Uint8Array; sectorBytes: number; info: ImageInfo },
  machine: { firmware: BootMode; architecture: string },
): Bootability {
  const { architecture } = image.info
  if (architecture !== undefined && !runsOn(architecture, machine.architecture)) {
    return {
      refusal: {
        code: 'other-architecture',
        message:
          `The image is made for processors of type "${architecture}" but this machine has ` +
          `"${machine.architecture}"; choose another image, or force the run`,
      },
    }
  }
  const modes = imageBootModes(image)
  if (modes.length === 0)
    return {
      warning: {
        code: 'no-boot-loader',
        message: 'No boot loader was found in the image: the disk may not boot',
      },
    }
  if (modes.includes(machine.firmware)) return {}
  return {
    refusal: {
      code: 'other-firmware',
      message:
        `The image boots on ${modes.map(modeName).join(' and ')} firmware only but this machine ` +
        `started with ${modeName(machine.firmware)}; choose another image, change the firmware's ` +
        `boot mode, or force the run`,
    },
  }
}

function runsOn(program: string, processor: string): boolean {
  return program === processor || (ALSO_RUNS[processor] ?? []).includes(program)
}

/** What was noted of the image when it came counts; else its partition table. */
function imageBootModes(image: {
  head?: Uint8Array
  sectorBytes: number
  info: ImageInfo
}): BootMode[] {
  if (image.info.bootModes && image.info.bootModes.length > 0) return image.info.bootModes
  if (!image.head) return []
  try {
    const table = parsePartitionTable(image.head, image.sectorBytes)
    // Without a table, the code in front may be any data.
    return table.kind === 'none' ? [] : bootModes(table)
  } catch (err) {
    if (err instanceof GptDecodeError) return []
    throw err
  }
}

function modeName(mode: BootMode): string {
  return mode === 'bios' ? 'BIOS' : 'UEFI'
}
