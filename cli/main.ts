import { enableCompileCache } from 'node:module'

// The half second that reading our source takes, but once only.
enableCompileCache()
const { runCli } = await import('./run-cli.ts')

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    // Whoever asks twice does not want to wait for a tidy end.
    if (stop.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    stop.abort(Object.assign(new Error('Interrupted'), { signalName: name }))
  })
// The reader of a pipe went away, as `head` does: it has what it wanted.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  process.exit(err.code === 'EPIPE' ? 0 : 1)
})

process.exitCode = await runCli(process.argv.slice(2), stop.signal)
