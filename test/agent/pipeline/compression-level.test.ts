import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  chooseLevel,
  type CompressionLevel,
  LevelChooser,
  processorTimes,
} from '#agent/pipeline/compression-level.ts'

describe('the level that a capture compresses at', () => {
  const cases: [
    what: string,
    from: CompressionLevel,
    compressMilliseconds: number,
    sendMilliseconds: number,
    to: CompressionLevel,
  ][] = [
    ['stays when nobody knows what one waits for', 3, 100, 100, 3],
    ['falls when chunks wait for processors', 3, 200, 100, 2],
    ['falls one step at a time', 9, 10_000, 10, 6],
    ['falls no further than the lowest', 2, 10_000, 10, 2],
    ['rises when chunks wait for the link', 3, 100, 500, 6],
    ['rises one step at a time', 2, 1, 10_000, 3],
    ['rises no further than the highest', 9, 1, 10_000, 9],
    ['does not rise to where processors would be what one waits for', 3, 100, 350, 3],
    ['does not rise and fall by turns: after a rise it would not fall', 6, 270, 500, 6],
    ['stays when nothing was measured', 3, 0, 0, 3],
  ]
  for (const [what, from, compressMilliseconds, sendMilliseconds, to] of cases)
    it(what, () =>
      assert.equal(
        chooseLevel(from, { compressMilliseconds, sendMilliseconds, busyShare: 0.1 }),
        to,
      ),
    )

  it('does not rise where processors have no time for it', () => {
    const waits = { compressMilliseconds: 100, sendMilliseconds: 10_000 }
    assert.equal(chooseLevel(2, { ...waits, busyShare: 0.7 }), 2)
    assert.equal(chooseLevel(2, { ...waits, busyShare: 0.6 }), 3)
  })

  it('never comes back to a level whose reasons it left, with the same processors and link', () => {
    for (let send = 1; send < 5000; send = Math.ceil(send * 1.3)) {
      // What a chunk takes at each level, where compressing costs as much as is said of it.
      const cost: Record<CompressionLevel, number> = { 2: 100, 3: 160, 6: 450, 9: 1000 }
      let level: CompressionLevel = 3
      const levels = Array.from(
        { length: 12 },
        () =>
          (level = chooseLevel(level, {
            compressMilliseconds: cost[level],
            sendMilliseconds: send,
            busyShare: 0.1,
          })),
      )
      assert.equal(new Set(levels.slice(-4)).size, 1, `${send}: ${levels.join()}`)
    }
  })

  it('is chosen anew only after many chunks', () => {
    let all = 1000
    const chooser = new LevelChooser(() => ({ busy: 500, all: (all += 1000) }))
    for (let chunk = 0; chunk < 47; chunk++)
      chooser.add({ compressMilliseconds: 1, sendMilliseconds: 100 })
    assert.equal(chooser.level, 2)
    chooser.add({ compressMilliseconds: 1, sendMilliseconds: 100 })
    assert.equal(chooser.level, 3)
  })

  it('stays where it is while other programs keep the processors busy', () => {
    let time = 1000
    const chooser = new LevelChooser(() => ({ busy: (time += 1000), all: time }))
    for (let chunk = 0; chunk < 96; chunk++)
      chooser.add({ compressMilliseconds: 1, sendMilliseconds: 100 })
    assert.equal(chooser.level, 2)
  })

  it('is chosen by times of processors that only grow', () => {
    const { busy, all } = processorTimes()
    assert.ok(busy > 0 && all > busy)
  })
})
