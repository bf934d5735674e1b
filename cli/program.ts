import { Command } from 'commander'
import { addAccount } from './commands/account.ts'
import { addCompletion } from './commands/completion.ts'
import { addDoctor } from './commands/doctor.ts'
import { addImages } from './commands/images.ts'
import { addMachines } from './commands/machines.ts'
import { addNetwork } from './commands/network.ts'
import { addPlans } from './commands/plans.ts'
import { addRuns } from './commands/runs.ts'
import { addVerify } from './commands/verify.ts'
import { addStore } from './commands/store.ts'
import { addTokens } from './commands/tokens.ts'
import { addUsers } from './commands/users.ts'
import { addWebhooks } from './commands/webhooks.ts'
import { paint } from './text/text.ts'
import { VERSION } from './version.ts'

const HELP = `
Start with:
  $ stampede login http://192.0.2.1:8080
  $ stampede machines ls
  $ stampede plan rack3 --image debian-13
  $ stampede deploy rack3 --image debian-13

A machine is named by its MAC address in any spelling, or by its name, hostname or serial number.
Exit codes: 0 done, 1 failed, 2 not understood, 3 not found, 4 not allowed, 5 no answer, 6 refused.`

export function createProgram(signal: AbortSignal): Command {
  const program = new Command('stampede')
    .description('Images machines over the network: the operator’s command')
    .version(VERSION, '-V, --version', 'print the version')
    .option('--server <url>', 'the server, else STAMPEDE_SERVER, else where you are signed in')
    .option('--token <token>', 'an API token; better as STAMPEDE_TOKEN, which "ps" does not show')
    .option('--json', 'print the answer of the API')
    .option('--no-color', 'no colours; NO_COLOR does the same')
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .addHelpText('after', HELP)
    .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
    .exitOverride()
  addAccount(program, signal)
  addMachines(program, signal)
  addImages(program, signal)
  addPlans(program, signal)
  addVerify(program, signal)
  addRuns(program, signal)
  addNetwork(program, signal)
  addStore(program, signal)
  addUsers(program, signal)
  addTokens(program, signal)
  addWebhooks(program, signal)
  addDoctor(program, signal)
  addCompletion(program, signal)
  return program
}

/** commander begins with a small "error:". */
function asSentence(text: string): string {
  return text.replace(
    /^error: (.)/,
    (_, first: string) => `${paint('red', 'Error:')} ${first.toUpperCase()}`,
  )
}
