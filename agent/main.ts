import './thread-pool.ts'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bootSession, RunFailedError } from './boot-session.ts'
import { runCli } from './cli.ts'
import { exec } from './exec.ts'
import { awaitDisks } from './inventory/await-disks.ts'
import { readDisks } from './inventory/disks.ts'
import { takeInventory } from './inventory/inventory.ts'
import { parseSettings } from './settings.ts'

/** `/init` reads here whether the machine reboots or powers off. */
const AFTER_FILE = '/run/stampede/after'

/** A machine that was booted for this: whatever happens is said on its screen. */
async function runBooted(signal: AbortSignal): Promise<number> {
  const print = (text: string) => console.log(text)
  try {
    const settings = parseSettings(process.env, await readFile('/proc/cmdline', 'utf8'))
    await awaitDisks(() => readDisks(exec), { signal, say: print })
    const readInventory = () => takeInventory(exec)
    const inventory = await readInventory()
    const after = await bootSession({ settings, inventory, readInventory, print, signal })
    await mkdir(dirname(AFTER_FILE), { recursive: true })
    await writeFile(AFTER_FILE, `${after}\n`)
    return 0
  } catch (err) {
    if (!(err instanceof RunFailedError))
      console.error(err instanceof Error ? err.message : String(err))
    return 1
  }
}

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stop.abort(new Error(`The agent was stopped by ${signal}`)))
const args = process.argv.slice(2)
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  // The reader went away, as `head` does, or a machine's console did: the work goes on, and its exit code tells.
  if (err.code === 'EPIPE' || args.length === 0) return
  console.error(`What goes to standard output cannot be written: ${err.message}`)
  process.exit(1)
})
process.exitCode =
  args.length === 0 ? await runBooted(stop.signal) : await runCli(args, stop.signal)
