import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { imageNameFrom, imageNameMistake } from '../../web/images/image-name.ts'

describe('the name of an image that comes from a file', () => {
  it('has the letters of the file, also of those with marks', () => {
    for (const [fileName, name] of [
      ['Debian 13 (lab).qcow2', 'debian-13-lab'],
      ['Prüfung – Großer Raum.img.xz', 'prufung-grosser-raum'],
      ['école_Ørsted.raw.gz', 'ecole_-rsted'],
      ['日本.img', ''],
    ] as const)
      assert.equal(imageNameFrom(fileName), name)
  })

  it('may be saved, whatever the file was called', () => {
    for (const fileName of [`${'ä'.repeat(200)}.img`, '--x--.gz', 'a.img.img'])
      assert.equal(imageNameMistake(imageNameFrom(fileName)), undefined, fileName)
  })
})
