import type { QueryClient } from '@tanstack/react-query'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Run } from '#protocol/run/run.ts'
import { keys } from '../api/keys.ts'
import { machinesAfter, machineWithProgress, runAfter, mayChangeImageUse } from './apply-events.ts'
import type { LiveEvent } from './events.ts'

type RunList = { items: Run[]; next: string | null }

/** Brings what the cache holds up to these events. */
export function applyToCache(cache: QueryClient, events: LiveEvent[]): void {
  if (mayChangeImageUse(cache.getQueryData(keys.machines), events)) staleImageUse(cache)
  cache.setQueryData<Machine[]>(keys.machines, (list) => list && machinesAfter(list, events))
  applyToMachines(cache, events)
  applyToRuns(cache, events)
  const kinds = new Set(events.map(({ kind }) => kind))
  // Seldom, and small: asked for again rather than pieced together.
  if (kinds.has('image')) for (const key of ['images', 'image', 'store']) stale(cache, [key])
  if (kinds.has('lease')) for (const key of [keys.leases, keys.network]) stale(cache, key)
  if (kinds.has('notice'))
    for (const key of [keys.network, keys.system, keys.store]) stale(cache, key)
}

function applyToMachines(cache: QueryClient, events: LiveEvent[]): void {
  for (const event of events) {
    if (event.kind === 'machine') {
      const { mac, deleted } = event.data
      if (deleted) stale(cache, keys.machine(mac))
      else cache.setQueryData<Machine>(keys.machine(mac), (known) => known && event.data)
      stale(cache, keys.script(mac))
    }
    if (event.kind === 'progress')
      cache.setQueryData<Machine>(
        keys.machine(event.data.mac),
        (known) => known && machineWithProgress(known, event.data),
      )
  }
}

function applyToRuns(cache: QueryClient, events: LiveEvent[]): void {
  const about = events.filter(({ kind }) => kind === 'run' || kind === 'progress')
  if (about.length === 0) return
  cache.setQueriesData<Run>({ queryKey: ['run'] }, (run) => run && runAfter(run, about))
  const seen = new Set<string>()
  cache.setQueriesData<RunList>({ queryKey: keys.runs }, (list) => {
    if (!list) return list
    for (const { id } of list.items) seen.add(id)
    return { ...list, items: list.items.map((run) => runAfter(run, about)) }
  })
  // Whether a new one belongs into a list, and where, its query knows.
  if (about.some((event) => event.kind === 'run' && !seen.has(event.data.id)))
    stale(cache, keys.runs)
}

/** Images tell who uses them; what is in them stays as it is. */
export function staleImageUse(cache: QueryClient): void {
  stale(cache, keys.images)
  const [image, , tree] = keys.imageTree('')
  const predicate = ({ queryKey }: { queryKey: readonly unknown[] }) => queryKey[2] !== tree
  void cache.invalidateQueries({ queryKey: [image], predicate })
}

function stale(cache: QueryClient, queryKey: readonly unknown[]): void {
  void cache.invalidateQueries({ queryKey })
}
