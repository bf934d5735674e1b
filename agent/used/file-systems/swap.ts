import { extentsOf } from '../extents.ts'
import type { Surveyor } from '../region.ts'
import { SWAP_PROBE_BYTES, readSwapHeader } from '../swap.ts'

/** The header alone, so that the deployed system swaps there, and wakes up nobody else's sleep. */
export const surveySwap: Surveyor = async (_, view) => {
  const head = await view.peek(0, Math.min(SWAP_PROBE_BYTES, view.sizeBytes))
  const header = readSwapHeader(head)
  if (!header) return { kind: 'whole', reason: 'its swap header is not understood' }
  const { page, isHibernated } = header
  const end = Math.min(header.endBytes, view.sizeBytes)
  return {
    kind: 'used',
    used: extentsOf([
      { start: 0, end: page.length },
      { start: end, end: view.sizeBytes },
    ]),
    patches: isHibernated ? [{ start: 0, bytes: page }] : [],
    leftOut: [
      {
        what: isHibernated ? 'swap space with a hibernated system' : 'swap space',
        bytes: Math.max(0, end - page.length),
      },
    ],
  }
}
