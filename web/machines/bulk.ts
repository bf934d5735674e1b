import type { Machine } from '#protocol/machine/machine.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'
import { staleImageUse } from '../live/apply-to-cache.ts'
import { queryClient } from '../api/query-client.ts'

/** What `PATCH /api/machines` sets on each. */
export interface BulkChange {
  image?: string | null
  locked?: boolean
  addTags?: string[]
  removeTags?: string[]
}

export interface BulkOutcome {
  done: number
  refused: { mac: string; message: string }[]
}

/** As many as one call takes. */
const MOST_MACS = 1000

export async function changeMachines(macs: string[], set: BulkChange): Promise<BulkOutcome> {
  const outcome: BulkOutcome = { done: 0, refused: [] }
  for (const some of chunksOf(macs)) {
    const answer = await bodyOf(client.PATCH('/api/machines', { body: { macs: some, set } }))
    outcome.done += answer.items.length
    outcome.refused.push(...answer.refused.map(refusal))
  }
  refresh()
  return outcome
}

export async function deleteMachines(macs: string[]): Promise<BulkOutcome> {
  const outcome: BulkOutcome = { done: 0, refused: [] }
  for (const some of chunksOf(macs)) {
    const answer = await bodyOf(client.POST('/api/machines/delete', { body: { macs: some } }))
    outcome.done += answer.deleted.length
    outcome.refused.push(...answer.refused.map(refusal))
  }
  refresh()
  return outcome
}

function refusal({ mac, error }: { mac: string; error: { message: string } }) {
  return { mac, message: error.message }
}

/** Events bring the changes too, but who clicked should not wait for them. */
function refresh(): void {
  void queryClient.invalidateQueries({ queryKey: keys.machines })
  // Against a list that is new already, the events tell no news of images.
  staleImageUse(queryClient)
}

function chunksOf(macs: string[]): string[][] {
  return Array.from({ length: Math.ceil(macs.length / MOST_MACS) }, (_, index) =>
    macs.slice(index * MOST_MACS, (index + 1) * MOST_MACS),
  )
}

/** What a set of machines is, for what can be done with it. */
export function describeSelection(machines: Machine[]) {
  return {
    tags: [...new Set(machines.flatMap(({ tags }) => tags))].toSorted(),
    areAllLocked: machines.every(({ locked }) => locked),
    withoutImage: machines.filter(({ image }) => image === undefined).length,
    locked: machines.filter(({ locked }) => locked).length,
  }
}
