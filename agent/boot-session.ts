import type { AgentRun, Result } from '#protocol/run/agent.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { createHttpClient } from './client/http.ts'
import { createChunkClient } from './client/http-chunk-client.ts'
import { openLogStream } from './client/log-stream.ts'
import { createProgressLine } from './progress-line.ts'
import { createReachLog } from './client/reach-log.ts'
import { SupersededError, openReporter, type StepReporter } from './client/reporter.ts'
import { runSteps } from './run-steps.ts'
import { createRunClient, sayHello } from './client/server-client.ts'
import type { AgentSettings } from './settings.ts'
import { STEPS } from './steps/index.ts'

export type After = 'reboot' | 'poweroff'

export interface BootSessionOptions {
  settings: AgentSettings
  inventory: Inventory
  /** Reads it once more, after a run that wrote to a disk. */
  readInventory?: () => Promise<Inventory>
  /** One line on the screen. */
  print: (text: string) => void
  signal: AbortSignal
}

/** The run did not succeed; why was printed, and the server has been told if it could be. */
export class RunFailedError extends Error {
  override name = 'RunFailedError'
}

/** Hello, the run if there is one, its result. Returns what the machine does next. */
export async function bootSession(options: BootSessionOptions): Promise<After> {
  const { settings, inventory, print, signal } = options
  const { mac, bootToken, serverUrl } = settings
  const { run, sessionToken } = await sayHello(
    serverUrl,
    { bootToken, mac, inventory },
    { signal, say: print },
  )
  if (!run) {
    print('The inventory was sent; there is nothing else to do')
    return 'reboot'
  }
  print(`Run ${run.id}: ${run.workflow}, attempt ${run.attempt}`)
  const result = await performRun(run, sessionToken, options)
  // What a verify found is no fault of this machine, which somebody waits for.
  const isFinding = result.receipt?.comparison !== undefined
  if (result.state === 'failed' && !isFinding)
    throw new RunFailedError(result.error ?? 'The run failed')
  print(lastWords(result))
  return run.options.after
}

function lastWords({ state }: Result): string {
  if (state === 'failed') return 'The disk is not as the image has it; nothing was written to it'
  return state === 'cancelled' ? 'The run was cancelled' : 'The run succeeded'
}

async function performRun(
  run: AgentRun,
  sessionToken: string,
  { settings, inventory, readInventory, print, signal }: BootSessionOptions,
): Promise<Result> {
  const http = createHttpClient({
    serverUrl: settings.serverUrl,
    token: sessionToken,
    // On screen at once; in the run as soon as the server can be told.
    reach: createReachLog((line) => log(line)),
  })
  let log = print
  const server = createRunClient(http, run.id)
  const stop = new AbortController()
  const stopSignal = AbortSignal.any([signal, stop.signal])
  const result = await (async () => {
    await using logStream = openLogStream((log) => server.log(log))
    await using reporter = openReporter({
      attempt: run.attempt,
      send: (report) => server.report(report),
      onStop: (reason) => stop.abort(reason),
    })
    log = (text: string) => {
      print(text)
      logStream.write(text)
    }
    const chunks = createChunkClient(http)
    const done = await runSteps({
      run,
      inventory,
      chunks,
      steps: STEPS,
      reporter: showing(reporter, print),
      signal: stopSignal,
      log,
    })
    if (done.error !== undefined) log(done.error)
    if (done.state !== 'succeeded' || !writes(run) || !readInventory) return done
    return { ...done, ...(await readAgain(readInventory, log)) }
  })()
  // Whoever has the run now reports its end.
  if (!(stop.signal.reason instanceof SupersededError)) await server.result(result)
  return result
}

function writes({ workflow }: AgentRun): boolean {
  return workflow === 'deploy' || workflow === 'wipe'
}

/** What the server knows of the disks is of before the run; without a new reading, plans say so. */
async function readAgain(
  readInventory: () => Promise<Inventory>,
  log: (text: string) => void,
): Promise<{ inventory?: Inventory }> {
  try {
    return { inventory: await readInventory() }
  } catch (err) {
    log(`The inventory could not be taken once more: ${String(err)}`)
    return {}
  }
}

/** Progress goes to the screen as well: there may be nobody who can reach the server. */
function showing(reporter: StepReporter, print: (text: string) => void): StepReporter {
  const line = createProgressLine({ isTTY: false, write: (text) => text && print(text.trimEnd()) })
  return {
    started(step) {
      reporter.started(step)
      line.started(step)
    },
    progress(bytesDone, bytesTotal) {
      reporter.progress(bytesDone, bytesTotal)
      line.progress(bytesDone, bytesTotal)
    },
    ended: (step, end) => reporter.ended(step, end),
  }
}
