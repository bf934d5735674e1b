import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSettings } from '#agent/settings.ts'

const LINE =
  'BOOT_IMAGE=/kernel console=ttyS0 stampede.url=http://10.0.0.1:8080 ' +
  'stampede.mac=52:54:00:12:34:56 stampede.token=a=b quiet\n'

describe('parseSettings', () => {
  it("reads the kernel's command line", () => {
    assert.deepEqual(parseSettings({}, LINE), {
      serverUrl: 'http://10.0.0.1:8080',
      mac: '52:54:00:12:34:56',
      bootToken: 'a=b',
    })
  })

  it('prefers the environment, and takes an empty variable for none', () => {
    const env = { STAMPEDE_URL: 'http://10.0.0.2', STAMPEDE_TOKEN: '' }
    assert.partialDeepStrictEqual(parseSettings(env, LINE), {
      serverUrl: 'http://10.0.0.2',
      bootToken: 'a=b',
    })
  })

  it('names what is missing, and a URL that is none', () => {
    assert.throws(() => parseSettings({}, 'quiet'), /STAMPEDE_URL nor "stampede.url="/)
    assert.throws(() => parseSettings({ STAMPEDE_URL: 'here' }, LINE), /"here"/)
  })
})
