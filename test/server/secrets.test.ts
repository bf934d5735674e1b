import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { globSync } from 'node:fs'
import { describe, it } from 'node:test'
import { bootToken, hello, queueRun, readRun } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp } from '#test/support/test-app.ts'

describe('secrets', () => {
  it('reach neither the log, nor the database, nor an answer, whatever fails', async () => {
    let log = ''
    const env = { STAMPEDE_TRUST_RELAYED: '1' }
    const secrets = [ADMIN_TOKEN]
    let folder: string
    {
      await using app = await openTestApp({ env, onLog: (line) => (log += line) })
      folder = app.dataFolder
      const mac = '52:54:00:00:06:01'
      const { id } = await queueRun(app, mac)
      const boot = await bootToken(app, mac)
      const { sessionToken } = (await hello(app, mac, boot)).body
      secrets.push(boot, sessionToken)
      await hello(app, mac, boot) // refused: it was used
      for (const token of secrets) {
        await app.call('GET', `/l/${token}/debian.img.gz`, undefined, { token })
        await app.call('POST', `/agent/runs/${id}/result`, { state: token }, { token })
        await app.call('GET', `/api/events/${token}?token=${token}`, undefined, { token })
      }
      const run = JSON.stringify(await readRun(app, id))
      for (const secret of secrets) assert.ok(!run.includes(secret))
      await app.database.flush()
      for (const path of globSync(`${folder}/database/**/*`, { withFileTypes: true })) {
        if (!path.isFile()) continue
        const bytes = await readFile(`${path.parentPath}/${path.name}`)
        for (const secret of secrets) assert.ok(!bytes.includes(secret), path.name)
      }
    }
    assert.ok(log.length > 0)
    for (const secret of secrets) assert.ok(!log.includes(secret), log)
  })
})
