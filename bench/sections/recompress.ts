import { stat } from 'node:fs/promises'
import type { StoreStatus } from '#protocol/store.ts'
import type { Measurement } from '../measurement.ts'
import { pause } from '../rounds.ts'
import { storedBytes, type Setting } from '../setting.ts'
import { needPeerFile } from './peer-files.ts'
import type { SectionResult } from './section.ts'

const MAX_MINUTES = 60
const LOOK_MILLISECONDS = 2000

/** What a captured image takes once the server had nothing else to do for a while. */
export async function benchRecompress(setting: Setting): Promise<SectionResult> {
  const { server } = setting
  await setting.needImage()
  const atOnce = await storedBytes(server)
  const start = performance.now()
  await recompress(server)
  const seconds = (performance.now() - start) / 1000
  const row = (key: string, name: string, bytes: number): Measurement => {
    return { key: `recompress/${key}`, name, unit: 'bytes', rounds: [bytes] }
  }
  const rows = [
    row('stampede', 'Stampede, after recompression', await storedBytes(server)),
    row('stampede-at-once', 'Stampede, at once', atOnce),
    row(
      'partclone',
      'partclone | zstd -3 -T0',
      (await stat(await needPeerFile(setting, 'partclone.zst'))).size,
    ),
  ]
  return {
    measurements: rows,
    tables: [{ title: 'image stored', rows }],
    notes: [`Recompression took ${Math.round(seconds)} s on an idle server`],
  }
}

export async function recompress({ url, token }: Setting['server']): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  const startedAt = Date.now()
  const asked = await fetch(`${url}/api/store/recompress`, { method: 'POST', headers })
  if (!asked.ok) throw new Error(`Recompression: ${asked.status} ${await asked.text()}`)
  for (;;) {
    await pause(LOOK_MILLISECONDS)
    const answer = await fetch(`${url}/api/store`, { headers })
    const { recompression } = (await answer.json()) as StoreStatus
    const { finishedAt } = recompression
    if (finishedAt !== null && Date.parse(finishedAt) >= startedAt) return
    if (Date.now() - startedAt > MAX_MINUTES * 60_000)
      throw new Error(`Recompression did not end: ${JSON.stringify(recompression)}`)
  }
}
