import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { StoreStatus } from '#protocol/store.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { storeText } from '../text/store-text.ts'
import { plural } from '../text/text.ts'
import { addMigrate } from './store-migrate.ts'

export function addStore(program: Command, signal: AbortSignal): void {
  const store = program
    .command('store')
    .description('The chunk store: room, contents, damage, and the care of it')
  store
    .command('show', { isDefault: true })
    .description('Show room, contents, damage, scrub and recompression')
    .addHelpText('after', examples('stampede store', 'stampede store show --json'))
    .action(action<[]>(signal, showStore))
  store
    .command('scrub')
    .description('Have every chunk read from the medium and hashed, from now on')
    .addHelpText('after', examples('stampede store scrub'))
    .action(action<[]>(signal, scrubStore))
  store
    .command('recompress')
    .description('Have chunks stored in fewer bytes once, or turn that on or off for idle times')
    .option('--on', 'whenever there is nothing else to do')
    .option('--off', 'no more, and stop what goes on')
    .addHelpText('after', examples('stampede store recompress', 'stampede store recompress --off'))
    .action(action<[], { on?: boolean; off?: boolean }>(signal, recompressStore))
  store
    .command('sweep')
    .description('Remove the chunks that no image needs, and wait for it')
    .addHelpText('after', examples('stampede store sweep'))
    .action(action<[]>(signal, sweepStore))
  addMigrate(store, signal)
}

async function showStore(context: Context): Promise<void> {
  const api = await context.api()
  context.show(await api.call<StoreStatus>('GET', '/api/store'), storeText)
}

async function scrubStore(context: Context): Promise<void> {
  const api = await context.api()
  const status = await api.call<StoreStatus>('POST', '/api/store/scrub')
  context.show(
    status,
    ({ chunks, storedBytes }) =>
      `${plural(chunks, 'chunk')} (${formatBytes(storedBytes)}) will be read; "stampede store" shows how far it is`,
  )
}

async function recompressStore(
  context: Context,
  { on, off }: { on?: boolean; off?: boolean },
): Promise<void> {
  if (on && off) throw new UsageError('Give --on or --off, not both')
  const api = await context.api()
  const json = on || off ? { enabled: on === true } : {}
  const status = await api.call<StoreStatus>('POST', '/api/store/recompress', { json })
  context.show(status, ({ recompression }) => {
    if (off) return 'Chunks stay as they are stored from here on'
    const when = recompression.state === 'working' ? 'now' : 'as soon as nothing else is to do'
    return `Chunks are stored in fewer bytes ${when}; "stampede store" shows how far it is`
  })
}

async function sweepStore(context: Context): Promise<void> {
  const api = await context.api()
  const result = await api.call<{ removedChunks: number }>('POST', '/api/store/sweep')
  context.show(result, ({ removedChunks }) => `Removed ${plural(removedChunks, 'chunk')}`)
}
