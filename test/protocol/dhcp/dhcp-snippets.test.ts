import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { DHCP_PRODUCTS, dhcpSnippets, type DhcpProduct } from '#protocol/dhcp/dhcp-snippets.ts'
import { BOOT_FILES } from '#server/boot/boot-file.ts'

const OPTIONS = {
  serverAddress: '192.0.2.1',
  url: 'http://192.0.2.1:8080',
  bootFiles: ['undionly.kpxe', 'snponly.efi', 'ipxe.efi'],
}

function textFor(product: DhcpProduct, bootFiles = OPTIONS.bootFiles): string {
  const found = dhcpSnippets({ ...OPTIONS, bootFiles }).find((each) => each.product === product)
  assert.ok(found)
  return found.text
}

/** Runs a DHCP server's own check of a configuration. */
async function check(text: string, command: string, args: (path: string) => string[]) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-snippet-'))
  const path = join(folder.path, 'dhcp.conf')
  await writeFile(path, text)
  const { status, stderr, error } = spawnSync(command, args(path), { encoding: 'utf8' })
  assert.equal(error, undefined)
  assert.equal(status, 0, `${stderr}\n${text}`)
}

describe('lines for other DHCP servers', () => {
  it('name this server, its script and the loaders of the common firmwares', () => {
    for (const product of DHCP_PRODUCTS) {
      const text = textFor(product)
      for (const word of ['192.0.2.1', 'http://192.0.2.1:8080/boot/files/autoexec.ipxe'])
        assert.ok(text.includes(word), `${product}: ${word}`)
      for (const word of ['undionly.kpxe', 'snponly.efi', 'iPXE'])
        assert.ok(text.includes(word), `${product}: ${word}`)
    }
  })

  it('name only boot files that are there, the better one first', () => {
    for (const product of DHCP_PRODUCTS) {
      assert.doesNotMatch(textFor(product), /arm64|ia32|[^y]ipxe\.efi/)
      assert.match(textFor(product, ['ipxe.efi', 'snponly-arm64.efi']), /snponly-arm64\.efi/)
      assert.doesNotMatch(textFor(product, ['ipxe.efi']), /undionly|snponly/)
    }
  })

  it('name every boot file that our own DHCP would', () => {
    for (const name of Object.values(BOOT_FILES).flat())
      assert.ok(textFor('dnsmasq', [name]).includes(name), name)
  })

  it('are what dnsmasq understands', async () => {
    await check(textFor('dnsmasq'), '/usr/sbin/dnsmasq', (path) => ['--test', '-C', path])
  })

  it('are what ISC dhcpd understands', async () => {
    const subnet = 'subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.100 192.0.2.110; }'
    await check(`${textFor('isc-dhcpd')}\n${subnet}\n`, '/usr/sbin/dhcpd', (path) => [
      '-t',
      '-cf',
      path,
    ])
  })

  it('are what Kea understands', async () => {
    const text = `{ "Dhcp4": { ${textFor('kea')} } }`
    await check(text, '/usr/sbin/kea-dhcp4', (path) => ['-t', path])
  })

  it('are JSON for Kea', () => {
    const { 'client-classes': classes } = JSON.parse(`{${textFor('kea')}}`) as {
      'client-classes': { name: string; test: string }[]
    }
    assert.equal(classes[0]?.name, 'stampede-ipxe')
    assert.match(
      classes[1]!.test,
      /^not member\('stampede-ipxe'\) and \(option\[93\]\.hex == 0x0000\)$/,
    )
  })

  it('give dhcpd one branch for each firmware', () => {
    assert.match(
      textFor('isc-dhcpd'),
      /elsif option stampede-arch = 00:07 or option stampede-arch = 00:09 \{\n {2}filename "snponly\.efi";/,
    )
  })
})
