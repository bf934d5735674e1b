import assert from 'node:assert/strict'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { createLabDisk, openLabMachine, runToSuccess, type Lab } from '#lab/scenario.ts'
import { mib, openLoopDisk } from '#test/agent/system/loop-disk.ts'
import { openNtfs } from '#test/support/file-system-disk.ts'
import { inLab } from '#test/support/lab-deployment.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'

const MAC = '52:54:00:5a:07:01'
const TARGET_BYTES = 1024 ** 3

/** Nothing of it is Microsoft's: what the agent looks for, on a disk that looks as if it booted. */
describe('a disk with the files of a Windows', { skip: NEEDS_ROOT }, () => {
  it('grows on a larger disk, by the tools of the boot system', () =>
    inLab(async (lab) => {
      await upload(lab, 'windows', await makeDisk())
      const request = { mac: MAC, workflow: 'deploy', image: 'windows', after: 'poweroff' } as const
      await lab.server.api.put(`/api/machines/${MAC}`, {})
      const { id } = await lab.server.api.startRun(request)
      const content = { blankBytes: TARGET_BYTES }
      const disk = await createLabDisk(lab, { machine: 'windows', bus: 'sata', content })
      await using machine = await openLabMachine(lab, {
        name: 'windows',
        mac: MAC,
        firmware: 'bios',
        disks: [disk],
      })
      const { steps } = await runToSuccess(lab, machine, id)
      const grown = steps.find(({ name }) => name === 'grow-root')
      assert.match(grown!.message!, /\/dev\/sda1 grew from 0\.06 to 1\.00 GiB/)
    }))
})

async function makeDisk(): Promise<Buffer> {
  await using disk = await openLoopDisk(mib(66))
  await disk.sfdisk('label: dos\nsize=64M,type=7,bootable\n')
  await exec('mkntfs', ['-q', '-F', '-Q', disk.partition(1)])
  {
    await using mount = await openNtfs(disk.partition(1), 'rw')
    await mkdir(join(mount.path, 'Windows/System32'), { recursive: true })
    await writeFile(join(mount.path, 'Windows/System32/ntoskrnl.exe'), 'MZ')
  }
  await using device = await open(disk.path, 'r+')
  await device.write(Buffer.alloc(440, 0xf4), 0, 440, 0) // code that halts: the image can be booted
  await device.sync()
  return await readFile(disk.path)
}

async function upload(lab: Lab, name: string, body: Buffer): Promise<void> {
  const { url, token } = lab.server.api
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' }
  const response = await fetch(new URL(`/api/images/${name}`, url), {
    method: 'POST',
    headers,
    body: new Uint8Array(body),
  })
  assert.equal(response.status, 201, await response.text())
}
