import type { Command } from 'commander'
import { MACHINE_STATES } from '#protocol/machine/machine.ts'
import { UsageError } from './errors.ts'

/** What chooses machines in lists, plans and runs. */
export function withFilters(command: Command): Command {
  return command
    .option('-q, --query <text>', 'whose name, MAC, serial or model holds this text')
    .option('--state <state>', MACHINE_STATES.join(', '), checkState)
    .option('--tag <tag>', 'that have this tag')
    .option('--assigned <image>', 'that have this image assigned')
    .option('--locked', 'that are locked')
}

function checkState(value: string): string {
  if ((MACHINE_STATES as readonly string[]).includes(value)) return value
  throw new UsageError(`--state is "${value}" but must be one of ${MACHINE_STATES.join(', ')}`)
}
