import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RadosGateway } from '#test/support/rados-gateway.ts'
import type { Cell } from './cell.ts'
import { CHUNK_PATH, type FaultLab } from './fault-lab.ts'

const AWAY_MILLISECONDS = 3000
const LAST_CHUNK = 12
const IMAGE = 'captured'

type Act = (gateway: RadosGateway) => unknown

/** The store's S3 goes away when a random chunk is on its way, and comes back. */
export function s3Outages(gateway: () => RadosGateway): Cell<FaultLab>[] {
  function outage(
    [what, kind]: [string, string],
    [leave, back]: [Act, Act],
    cell: Pick<Cell<FaultLab>, 'outcomes' | 'run'>,
  ): Cell<FaultLab> {
    return {
      place: `S3 below the store, of a ${what}`,
      kind,
      moment: 'for a while from a random chunk on',
      outcomes: cell.outcomes,
      async run(lab, chance) {
        lab.reset()
        let left = chance.integer(1, LAST_CHUNK)
        let over: Promise<void> | undefined
        lab.proxy.hold = async ({ path }) => {
          if (!CHUNK_PATH.test(path) || --left !== 0) return
          await leave(gateway())
          over = sleep(AWAY_MILLISECONDS).then(async () => void (await back(gateway())))
        }
        try {
          const outcome = await cell.run(lab, chance)
          assert.ok(over)
          return outcome
        } finally {
          await over
        }
      },
    }
  }

  const KILLED: [Act, Act] = [(s3) => s3.kill(), (s3) => s3.start()]
  const SILENT: [Act, Act] = [(s3) => s3.pause(), (s3) => s3.resume()]
  return [
    outage(['capture', 'killed, and started again'], KILLED, {
      outcomes: ['complete'],
      async run(lab) {
        const { ended } = lab.start('capture', { image: IMAGE, serverUrl: lab.proxy.url })
        return await lab.judgeCapture(IMAGE, await ended)
      },
    }),
    outage(['deployment', 'silent'], SILENT, {
      outcomes: ['verified'],
      run: async (lab) => lab.judge(await lab.start('deploy', { serverUrl: lab.proxy.url }).ended),
    }),
  ]
}
