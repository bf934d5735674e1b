import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { CHECK_NAMES, type CheckName, type SystemStatus } from '#protocol/system-status.ts'
import { readConfig } from '#server/config.ts'
import { hearDhcpServer } from '#server/db/network/other-dhcp-servers.ts'
import { readSystemStatus, type SystemStatusOptions } from '#server/system-status.ts'
import { VERSION } from '#server/version.ts'
import { describeOnEveryDatabase, openTestDatabase } from '#test/support/database.ts'
import { openTestApp } from '#test/support/test-app.ts'

const NOW = new Date('2026-05-01T12:00:00Z')
const OTHER = parseIpv4('10.0.0.77')
const INTERFACES = {
  eth0: [
    {
      address: '10.0.0.1',
      netmask: '',
      mac: '',
      internal: false,
      family: 'IPv4' as const,
      cidr: '10.0.0.1/24',
    },
  ],
}
const STATISTICS = { storedBytes: 0, images: 0, contentBytes: 0, savedBytes: 0 }

describe('the version', () => {
  it('is that of the package', async () => {
    const text = await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')
    assert.equal(VERSION, (JSON.parse(text) as { version: string }).version)
  })
})

describeOnEveryDatabase('the system as it is', (_open, kind) => {
  it('is answered over HTTP', async () => {
    await using app = await openTestApp({ database: kind })
    const { status, body } = await app.call<SystemStatus>('GET', '/api/system')
    assert.equal(status, 200)
    assert.deepEqual(
      body.checks.map(({ name }) => name),
      CHECK_NAMES,
    )
    for (const { message } of body.checks) assert.match(message, /^[A-Z0-9].*[^.]$/)
    for (const name of ['http', 'dhcp', 'tftp', 'database', 'clock', 'other-dhcp-servers'] as const)
      assert.deepEqual([name, body.checks.find((check) => check.name === name)?.ok], [name, true])
    assert.partialDeepStrictEqual(body, {
      version: VERSION,
      node: process.version,
      startedAt: app.clock.now().toISOString(),
      database: { kind },
      store: { kind: 'folder', location: join(app.dataFolder, 'store'), ...STATISTICS },
    })
    assert.ok(body.database.bytes! > 1e6)
    assert.ok(body.store.freeBytes! > 0)
  })
})

describe('checks of the system', () => {
  async function check(
    name: CheckName,
    env: Record<string, string> = {},
    changes: Partial<SystemStatusOptions> = {},
    heardHoursAgo?: number,
  ) {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-status-'))
    await using database = await openTestDatabase()
    await mkdir(join(folder.path, 'store'))
    if (heardHoursAgo !== undefined) {
      const at = new Date(NOW.getTime() - heardHoursAgo * 3_600_000)
      await hearDhcpServer(database.db, { address: OTHER, notice: {}, now: at })
    }
    const config = readConfig({ STAMPEDE_DATA: folder.path, ...env }, INTERFACES)
    const { checks } = await readSystemStatus({
      config,
      db: database.db,
      url: 'http://10.0.0.1:8080',
      tftp: '10.0.0.1 port 69',
      bootFileNames: async () => new Set(['undionly.kpxe', 'snponly.efi']),
      storeStatistics: async () => STATISTICS,
      storeRoom: async () => ({ quotaBytes: null, usedBytes: 0 }),
      startedAt: NOW,
      now: () => NOW,
      ...changes,
    })
    const found = checks.find((one) => one.name === name)!
    return [found.ok, found.message] as const
  }

  const names = (...all: string[]) => ({ bootFileNames: async () => new Set(all) })
  const server = { STAMPEDE_DHCP: 'server', STAMPEDE_DHCP_RANGE: '10.0.0.100-10.0.0.199' }
  const off = { STAMPEDE_DHCP: 'off', STAMPEDE_URL: 'http://10.0.0.1:8080' }
  const cases: [
    what: string,
    ...Parameters<typeof check>,
    ...expected: [ok: boolean, message: RegExp],
  ][] = [
    ['a good URL', 'http', {}, {}, undefined, true, /at http:\/\/10\.0\.0\.1:8080/],
    [
      'a URL of this host alone',
      'http',
      {},
      { url: 'http://127.0.0.1:8080' },
      undefined,
      false,
      /this host alone; set STAMPEDE_URL/,
    ],
    ['TFTP', 'tftp', {}, {}, undefined, true, /10\.0\.0\.1 port 69/],
    [
      'TFTP that could not listen',
      'tftp',
      {},
      { tftp: 'TFTP cannot listen on 10.0.0.1 port 69: another program uses the port' },
      undefined,
      false,
      /another program/,
    ],
    ['TFTP that is off', 'tftp', {}, { tftp: 'off' }, undefined, false, /TFTP is off, so BIOS/],
    ['boot files', 'boot-files', {}, {}, undefined, true, /snponly\.efi, undionly\.kpxe/],
    ['no boot files', 'boot-files', {}, names(), undefined, false, /install the package "ipxe"/],
    ['one of two', 'boot-files', {}, names('ipxe.efi'), undefined, false, /file for BIOS \(undi/],
    [
      'a store that is not there',
      'store',
      { STAMPEDE_STORE: 'file:/nowhere/at/all' },
      {},
      undefined,
      false,
      /"\/nowhere\/at\/all" cannot be written/,
    ],
    [
      'a quota that is as good as used up',
      'store',
      {},
      { storeRoom: async () => ({ quotaBytes: 500e9, usedBytes: 499e9 }) },
      undefined,
      false,
      /^Only 1\.0 GB are left of the chunk store's quota of 500\.0 GB; .*STAMPEDE_STORE_QUOTA$/,
    ],
    [
      'addresses from nowhere',
      'other-dhcp-servers',
      {},
      {},
      undefined,
      false,
      /No DHCP server was heard.*STAMPEDE_DHCP=server/,
    ],
    [
      'addresses from another server',
      'other-dhcp-servers',
      {},
      {},
      1,
      true,
      /come from 10\.0\.0\.77/,
    ],
    [
      'another server that has long been silent',
      'other-dhcp-servers',
      {},
      {},
      48,
      false,
      /No DHCP server was heard/,
    ],
    [
      'two servers that give out addresses',
      'other-dhcp-servers',
      server,
      {},
      1,
      false,
      /Another.*\(10\.0\.0\.77\); two of them/,
    ],
    ['being the only one', 'other-dhcp-servers', server, {}, 48, true, /No other/],
    ['DHCP that is off', 'other-dhcp-servers', off, {}, 1, true, /nobody listens/],
  ]
  for (const [what, name, env, changes, heard, ok, message] of cases)
    it(`${ok ? 'are content with' : 'find'} ${what}`, async () => {
      const [isOk, text] = await check(name, env, changes, heard)
      assert.match(text, message)
      assert.equal(isOk, ok)
    })

  it('know the files of an agent that were put there', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-agent-'))
    await mkdir(join(folder.path, 'boot'), { recursive: true })
    for (const name of ['kernel', 'initrd']) await writeFile(join(folder.path, 'boot', name), 'x')
    const [ok, message] = await check('agent-files', { STAMPEDE_DATA: folder.path })
    assert.deepEqual([ok, message.includes(folder.path)], [true, true], message)
  })
})
