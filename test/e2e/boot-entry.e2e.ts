import assert from 'node:assert/strict'
import { copyFile, mkdtempDisposable, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { it } from 'node:test'
import type { BootManager } from '#agent/efi/boot-entries.ts'
import type { StepOutcome } from '#agent/steps/step.ts'
import { buildInitramfs } from '../../initramfs/build.ts'
import { openHelloServer, openInitramfsMachine } from '../support/initramfs-machine.ts'

const MAC = '52:54:00:12:34:56'
const OVMF = '/usr/share/OVMF'
const DEADLINE_MS = 240_000

type Stage = BootManager & { outcome: StepOutcome }

it('UEFI firmware gets one entry of ours, and only while there is no fallback path', async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'stampede-boot-entry-'))
  const folder = temporary.path
  const agentEntry = resolve(import.meta.dirname, '../fixtures/boot-entry-agent.ts')
  await buildInitramfs({ agentEntry, outputFolder: folder, firmware: true, refresh: false })
  await copyFile(join(OVMF, 'OVMF_VARS_4M.fd'), join(folder, 'vars.fd'))
  await writeFile(join(folder, 'disk.img'), '')
  await truncate(join(folder, 'disk.img'), 100 * 1024 * 1024)

  await using server = await openHelloServer({})
  const code = `if=pflash,unit=0,format=raw,readonly=on,file=${OVMF}/OVMF_CODE_4M.fd`
  const variables = `if=pflash,unit=1,format=raw,file=${folder}/vars.fd`
  await using machine = await openInitramfsMachine({
    folder,
    memoryMib: 768,
    arguments: [
      'console=ttyS0',
      'rootfstype=ramfs',
      'quiet',
      'panic=1',
      'stampede.reboot_delay=1',
      `stampede.mac=${MAC}`,
      `stampede.url=${server.url}`,
    ],
    devices: [
      ['-drive', code, '-drive', variables],
      ['-device', `virtio-net-pci,netdev=net0,mac=${MAC}`],
      ['-drive', `if=virtio,format=raw,file=${folder}/disk.img`],
    ].flat(),
  })
  const deadlineMs = DEADLINE_MS
  await machine.console.waitFor(/stampede: Rebooting\b(?! in)/, { deadlineMs, failOn: /ERROR/ })
  const { body } = await server.hello
  const [noLoader, created, repeated, fallback] = body['stages'] as Stage[]
  const foreign = labelled(noLoader!, 'debian')[0]!

  assert.equal(noLoader!.outcome.state, 'skipped')
  assert.deepEqual(labelled(noLoader!, 'Stampede'), [], 'the dead entry of ours is gone')
  assert.match(String(body['warnings']), /No UEFI boot loader was found on \/dev\/vda/)

  assert.equal(created!.outcome.state, 'succeeded')
  const [ours, ...more] = labelled(created!, 'Stampede')
  assert.deepEqual(more, [])
  assert.equal(ours!.label, 'Stampede (debian-13)')
  assert.equal(ours!.loader, '\\EFI\\debian\\shimx64.efi')
  assert.equal(created!.order[0], ours!.number, 'there is no network entry to come after')
  assert.ok(created!.order.includes(foreign.number), 'entries of others keep their place')

  assert.deepEqual(repeated!.entries, created!.entries)
  assert.deepEqual(repeated!.order, created!.order)

  assert.equal(fallback!.outcome.state, 'skipped')
  assert.deepEqual(labelled(fallback!, 'Stampede'), [])
  assert.deepEqual(labelled(fallback!, 'debian'), [foreign])
})

function labelled({ entries }: BootManager, start: string) {
  return entries.filter(({ label }) => label.startsWith(start))
}
