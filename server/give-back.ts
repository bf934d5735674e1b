import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/**
 * To be called after each part of long work that leaves much behind: every so many of them, what is left is
 * collected. By itself V8 lets hundreds of MB wait, for there is room, as far as it knows. A collection takes
 * a tenth of a second, so the parts should take seconds together.
 */
export function createGiveBack(everyParts: number): () => void {
  let parts = 0
  return () => {
    if (++parts % everyParts !== 0) return
    if (!collect) {
      setFlagsFromString('--expose-gc')
      collect = runInNewContext('gc') as () => void
    }
    collect()
  }
}
