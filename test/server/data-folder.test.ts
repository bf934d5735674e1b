import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chown, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'

const NOBODY = { uid: 65_534, gid: 65_534 }
const SOURCE = new URL('../../server/data-folder.ts', import.meta.url).href

describe('a data folder', { skip: NEEDS_ROOT }, () => {
  for (const name of ['admin-token', 'receipt-key.pem', 'database/PG_VERSION'])
    it(`in which ${name} is another user's, as after a restore by root, is told of as that`, async () => {
      await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-restored-'))
      const path = join(folder.path, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, 'restored', { mode: 0o600 })
      for (const each of [folder.path, dirname(path)]) await chown(each, NOBODY.uid, NOBODY.gid)
      const program = `(await import(${JSON.stringify(SOURCE)})).openDataFolder(${JSON.stringify(folder.path)})
        .then(() => console.log('opened'), (err) => console.log(String(err)))`
      const open = () =>
        promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], NOBODY)
      assert.match(
        (await open()).stdout,
        new RegExp(`^DataFolderError: "${path}" cannot be used \\(EACCES\\); give `),
      )
      await chown(path, NOBODY.uid, NOBODY.gid)
      assert.equal((await open()).stdout, 'opened\n')
    })
})
