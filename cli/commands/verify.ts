import type { Command } from 'commander'
import type { RunRequest } from '#protocol/run/run.ts'
import { action, type Context } from '../context.ts'
import { examples } from '../help.ts'
import { findMac } from '../machine-names.ts'
import { watchRuns } from '../run-watch.ts'
import { startedText, startRuns } from '../start-runs.ts'
import { diskHints, withDiskOptions, type DiskOptions } from './machine-changes.ts'

interface VerifyOptions extends DiskOptions {
  image?: string
  poweroff?: boolean
  watch?: boolean
}

/** Needs no plan and no question: nothing is written. */
export function addVerify(program: Command, signal: AbortSignal): void {
  withDiskOptions(program.command('verify <machine>'))
    .summary("Compare a machine's disk with its image")
    .description(
      "Compare a machine's disk with an image at its next boot, and write nothing: with what was deployed to it last, else with " +
        'the image assigned to it. The run fails if anything differs, and says how much and where.',
    )
    .option('-i, --image <name>', 'compare with this image')
    .option('--poweroff', 'power off at the end, instead of a reboot')
    .option('--no-watch', 'do not wait for the end')
    .addHelpText(
      'after',
      examples(
        'stampede verify rack3-node7',
        'stampede verify 52:54:00:12:34:56 --image debian-13@3',
      ),
    )
    .action(action<[string], VerifyOptions>(signal, verify))
}

async function verify(context: Context, name: string, options: VerifyOptions): Promise<void> {
  const api = await context.api()
  const disk = diskHints(options)
  const json: RunRequest = {
    mac: await findMac(api, name),
    workflow: 'verify',
    ...(options.image !== undefined && { image: options.image }),
    ...(disk && { disk }),
    ...(options.poweroff && { after: 'poweroff' as const }),
  }
  const run = await startRuns(context, api, json)
  const text = startedText(run)
  if (options.watch === false) return context.show(run, () => text)
  context.say(text)
  await watchRuns(context, api, [run])
}
