import type { Mac } from '#protocol/mac.ts'
import { echoLines, kernelWord, urlWord } from './ipxe-text.ts'

/** What a machine's iPXE does next. */
export type BootScript =
  /** Starts our agent, for a run or for an inventory. */
  | {
      kind: 'agent'
      purpose: 'run' | 'inventory'
      /** How machines reach us, without a slash at the end. */
      url: string
      mac: Mac
      bootToken: string
      /** More arguments for the kernel. */
      kernelArguments?: readonly string[]
    }
  /** Starts what the machine has on its disk, after showing `notice`, if any, for a while. */
  | { kind: 'local'; mac: Mac; notice?: string }

const NOTICE_SECONDS = 10
/** Pauses between tries to load the agent: a restarting server needs seconds, not minutes. */
const RETRY_PAUSES_SECONDS = [2, 4, 8, 16, 32]

/**
 * So that both screen and serial line show what happens, and all RAM may hold the initramfs. Without
 * `quiet` the kernel prints this line, and with it the token; a panic reboots after 30 s.
 */
const KERNEL_ARGUMENTS = [
  'console=tty0',
  'console=ttyS0,115200',
  'rootfstype=ramfs',
  'quiet',
  'panic=30',
]

/**
 * The text of the script. No command in it writes to a disk, and whatever fails in it, it ends at the
 * local disk. Seen to run with the iPXE of Debian 12 (2019) and of Debian 13 (2025).
 *
 * Throws TypeError if the URL, the token or a kernel argument could be read as another command.
 */
export function writeScript(script: BootScript): string {
  const lines = script.kind === 'agent' ? agentLines(script) : localLines(script)
  return ['#!ipxe', ...lines, ''].join('\n')
}

/**
 * For iPXE builds for UEFI since 2021, which run this file from where they were loaded instead of
 * asking DHCP for a script. So this asks DHCP, and then us, and tells the screen if we do not answer.
 */
export function writeAutoexecScript(url: string): string {
  const base = urlWord(url)
  const script = `${base}/boot/\${netX/mac:hexhyp}.ipxe`
  return [
    '#!ipxe',
    'echo Stampede: asking for an address',
    ...withRetries({
      commands: [
        'isset ${netX/ip} || dhcp || goto retry',
        // Loaded and run apart: a script that ends with "exit 1" is no failure to load it.
        `imgfetch --name stampede-script ${script} || goto retry`,
      ],
      failure: `The Stampede server at ${base} does not answer`,
    }),
    'imgexec stampede-script ||',
    'exit 1',
    ':give-up',
    ...localDisk(),
    '',
  ].join('\n')
}

function agentLines(script: Extract<BootScript, { kind: 'agent' }>): string[] {
  const base = urlWord(script.url)
  const argumentWords = [
    'initrd=initrd', // UEFI: an iPXE before 2021 hands the initramfs over by this name only
    `stampede.url=${base}`,
    `stampede.mac=${script.mac}`,
    `stampede.token=${script.bootToken}`,
    ...KERNEL_ARGUMENTS,
    ...(script.kernelArguments ?? []),
  ].map(kernelWord)
  const purpose = script.purpose === 'run' ? 'to do its run' : 'to look at its hardware'
  return [
    ...echoLines(`Stampede: starting the agent on ${script.mac} ${purpose}`),
    ...unless64Bit('give-up'),
    ...withRetries({
      commands: [
        'imgfree',
        `kernel ${base}/boot/kernel ${argumentWords.join(' ')} || goto retry`,
        `initrd --name initrd ${base}/boot/initrd || goto retry`,
      ],
      failure: `The Stampede server at ${base} does not answer`,
    }),
    'boot ||',
    ...echoLines('The agent cannot be started on this machine.'),
    ':give-up',
    'imgfree',
    ...localDisk(),
  ]
}

/**
 * A kernel for 64 bits says on a processor without them that it cannot boot, and stays there: the
 * machine would not get to its disk. Bit 0 (there is an FPU) is set on all: where that fails, this
 * iPXE cannot ask, as on ARM.
 */
function unless64Bit(label: string): string[] {
  return [
    'cpuid 0 || goto x86-64',
    'cpuid --ext 29 && goto x86-64 ||',
    ...echoLines('The agent needs a 64-bit processor, and this machine has none.'),
    `goto ${label}`,
    ':x86-64',
  ]
}

function localLines({ mac, notice }: Extract<BootScript, { kind: 'local' }>): string[] {
  if (notice === undefined) {
    return [...echoLines(`Stampede: nothing to do for ${mac}`), ...localDisk()]
  }
  return [
    ...echoLines(`Stampede: ${mac}`),
    ...echoLines(notice),
    `sleep ${NOTICE_SECONDS}`,
    ...localDisk(),
  ]
}

/** Goes on after the commands, or to `give-up`. A command that fails goes to `retry`. */
function withRetries({ commands, failure }: { commands: string[]; failure: string }): string[] {
  const pauses = RETRY_PAUSES_SECONDS.flatMap((seconds, i) => [
    `:pause-${i}`,
    ...echoLines(`Trying again in ${seconds} seconds (${i + 1} of ${RETRY_PAUSES_SECONDS.length})`),
    `sleep ${seconds}`,
    `set next pause-${i + 1}`,
    'goto try',
  ])
  return [
    'set next pause-0',
    'goto try',
    ':retry',
    'echo',
    ...echoLines(failure),
    'goto ${next}',
    ...pauses,
    `:pause-${RETRY_PAUSES_SECONDS.length}`,
    ...echoLines('Giving up.'),
    'goto give-up',
    ':try',
    ...commands,
  ]
}

/**
 * iPXE for BIOS starts the disk itself. Under UEFI it returns to the firmware, which goes on with its
 * next boot entry; with an error, since some firmwares stop in their menu after success.
 */
function localDisk(): string[] {
  return [
    'echo Starting the local disk',
    'iseq ${platform} efi && exit 1 ||',
    'sanboot --no-describe --drive 0x80 ||',
    'echo The local disk cannot be started',
    'exit 1',
  ]
}
