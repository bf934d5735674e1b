import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// What reading our source takes, but once only. In the user's own folder: what is in there is run.
// XDG Base Directory Specification: a relative path is to be ignored; code would be run from wherever this is started.
const { XDG_CACHE_HOME: named } = process.env
const cache = named?.startsWith('/') ? named : join(homedir(), '.cache')
enableCompileCache(join(cache, 'stampede', 'command'))
const { runCli } = await import('./run-cli.ts')
const { unwritable } = await import('./local-file.ts')

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    // Whoever asks twice does not want to wait for a tidy end.
    if (stop.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    stop.abort(Object.assign(new Error('Interrupted'), { signalName: name }))
  })
// The reader of a pipe went away, as `head` does: it has what it wanted.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code === 'EPIPE') process.exit(0)
  process.stderr.write(`Error: ${unwritable('What goes to standard output', err).message}\n`)
  process.exit(1)
})

process.exitCode = await runCli(process.argv.slice(2), stop.signal)
