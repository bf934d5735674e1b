import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  advanceBoot,
  awaitedStage,
  type BootProgress,
  type BootStage,
} from '#protocol/machine/boot-progress.ts'

const START = Date.parse('2026-05-01T12:00:00Z')
const at = (seconds: number) => new Date(START + seconds * 1000)

/** Stages with the seconds at which they came; what tells nothing new is left out. */
function boot(...steps: [stage: BootStage, seconds: number][]): BootProgress | undefined {
  let progress: BootProgress | undefined
  for (const [stage, seconds] of steps) {
    const step = {
      stage,
      at: at(seconds),
      ...(stage === 'script' && { detail: 'local disk', endsAtScript: true }),
    }
    progress = advanceBoot(progress, step) ?? progress
  }
  return progress
}

function stagesOf(progress: BootProgress | undefined): [BootStage, number][] {
  return progress!.stages.map(({ stage, at: time }) => [stage, (Date.parse(time) - START) / 1000])
}

const WHOLE: [BootStage, number][] = [
  ['dhcp', 0],
  ['loader', 2],
  ['ipxe', 6],
  ['script', 8],
  ['kernel', 9],
  ['agent', 60],
]

describe('the stages of a boot', () => {
  it('come one after the other', () => assert.deepEqual(stagesOf(boot(...WHOLE)), WHOLE))

  const cases: [what: string, steps: [BootStage, number][], expected: [BootStage, number][]][] = [
    [
      'a DISCOVER that is sent again is no other boot',
      [
        ['dhcp', 0],
        ['dhcp', 4],
        ['dhcp', 60],
      ],
      [['dhcp', 0]],
    ],
    [
      "firmware's DHCP after its loader begins another boot",
      [
        ['dhcp', 0],
        ['loader', 2],
        ['dhcp', 30],
      ],
      [['dhcp', 30]],
    ],
    ['a machine that boots anew begins anew', [...WHOLE, ['dhcp', 400]], [['dhcp', 400]]],
    [
      'files that are asked for again are no other boot',
      [
        ['dhcp', 0],
        ['loader', 2],
        ['loader', 20],
        ['ipxe', 21],
        ['loader', 40],
      ],
      [
        ['dhcp', 0],
        ['loader', 2],
        ['ipxe', 21],
      ],
    ],
    [
      'iPXE in the ROM is firmware too, at each boot',
      [
        ['ipxe', 0],
        ['script', 2],
        ['ipxe', 40],
      ],
      [
        ['dhcp', 40],
        ['ipxe', 40],
      ],
    ],
    [
      'where no DHCP is heard, each script begins a boot',
      [
        ['script', 0],
        ['script', 2],
        ['script', 90],
      ],
      [['script', 90]],
    ],
    [
      'what is told late is put into its place',
      [
        ['dhcp', 0],
        ['ipxe', 4],
        ['loader', 5],
      ],
      [
        ['dhcp', 0],
        ['loader', 5],
        ['ipxe', 4],
      ],
    ],
    [
      "another day's stage is of another boot",
      [
        ['dhcp', 0],
        ['script', 90_000],
      ],
      [['script', 90_000]],
    ],
  ]
  for (const [what, steps, expected] of cases)
    it(what, () => assert.deepEqual(stagesOf(boot(...steps)), expected))

  it('a local disk is where it ends, and the next boot forgets that', () => {
    assert.equal(boot(['dhcp', 0], ['script', 9])?.endsAtScript, true)
    assert.equal(boot(['dhcp', 0], ['script', 9], ['dhcp', 99])?.endsAtScript, undefined)
  })
})

describe('the stage that is waited for', () => {
  const awaited = (progress: BootProgress | undefined, seconds: number) => {
    const found = awaitedStage(progress, at(seconds))
    return found && [found.stage, found.since, found.isLate]
  }

  it('is the next one, and late after its time', () => {
    const progress = boot(['dhcp', 0])
    assert.deepEqual(awaited(progress, 5), ['loader', at(0).toISOString(), false])
    assert.deepEqual(awaited(progress, 25), ['loader', at(0).toISOString(), true])
  })

  it('is none at the end of a boot, or before its beginning', () => {
    assert.equal(awaited(boot(...WHOLE), 900), undefined)
    assert.equal(awaited(boot(['dhcp', 0], ['script', 9]), 900), undefined)
    assert.equal(awaited(undefined, 0), undefined)
  })

  it('says what to check, in sentences', () => {
    for (let count = 1; count < WHOLE.length; count++) {
      const steps = WHOLE.slice(0, count).filter(([stage]) => stage !== 'script')
      const { checks } = awaitedStage(boot(...steps), at(900))!
      assert.ok(checks.length > 0)
      for (const check of checks) assert.match(check, /^(iPXE|[A-Z]).{20,}[^.]$/)
    }
  })
})
