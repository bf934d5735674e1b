import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NetworkInterfaceInfo } from 'node:os'
import { ConfigError, readConfig } from '#server/config.ts'

function address(cidr: string, internal = false): NetworkInterfaceInfo {
  const base = { address: cidr.split('/')[0]!, netmask: '', mac: '', internal }
  return { ...base, family: 'IPv4', cidr }
}

const LOOPBACK = { lo: [address('127.0.0.1/8', true)] }
const ONE = { ...LOOPBACK, eth0: [address('10.0.0.1/24')] }
const TWO = { ...ONE, eth1: [address('192.168.7.2/16')] }
const SERVER = { STAMPEDE_DHCP: 'server', STAMPEDE_DHCP_RANGE: '10.0.0.100-10.0.0.199' }
const S3 = {
  STAMPEDE_STORE: 's3://bucket/a/prefix/',
  AWS_ENDPOINT_URL: 'http://192.0.2.9:7480',
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret',
}

describe('configuration', () => {
  it('needs nothing on a machine with one network', () => {
    const config = readConfig({ STAMPEDE_DATA: '/srv/stampede' }, ONE)
    assert.deepEqual(JSON.parse(JSON.stringify(config)), {
      dataFolder: '/srv/stampede',
      database: { kind: 'embedded', folder: '/srv/stampede/database' },
      store: { kind: 'folder', folder: '/srv/stampede/store' },
      storeRedirect: false,
      http: { host: '0.0.0.0', port: 8080 },
      network: { interface: 'eth0', cidr: { address: '10.0.0.1', prefixLength: 24 } },
      tftp: true,
      dhcp: { mode: 'proxy' },
      unknown: 'inventory',
      booty: true,
      maxImageBytes: 70_368_744_177_664,
      retention: { keepVersions: 10, keepDays: null },
      pullLocal: false,
      care: { scrubHours: 168, scrubBytesPerSecond: 50_000_000, recompress: true },
      trustRelayed: false,
      runRetentionDays: 365,
      warnings: [],
    })
    assert.equal(config.serverUrl(8080), 'http://10.0.0.1:8080')
  })

  it('reads how the store is cared for', () => {
    const read = (env: Record<string, string>) =>
      readConfig({ STAMPEDE_DATA: '/srv/stampede', ...env }, ONE)
    const { care, storeQuotaBytes } = read({
      STAMPEDE_STORE_QUOTA: '1.5Ti',
      STAMPEDE_SCRUB_HOURS: '0',
      STAMPEDE_SCRUB_RATE: '10M',
      STAMPEDE_RECOMPRESS: 'off',
      STAMPEDE_HEAL_FROM: 'https://192.0.2.2:8443',
      STAMPEDE_HEAL_TOKEN: 'stp_1',
    })
    assert.equal(storeQuotaBytes, 1.5 * 2 ** 40)
    assert.deepEqual(care, {
      scrubHours: 0,
      scrubBytesPerSecond: 10_000_000,
      recompress: false,
      healFrom: { kind: 'server', url: 'https://192.0.2.2:8443', token: 'stp_1' },
    })
    const other = read({ STAMPEDE_HEAL_FROM: 'file:/srv/copy' }).care.healFrom
    assert.deepEqual(other, {
      kind: 'store',
      address: 'file:/srv/copy',
      store: { kind: 'folder', folder: '/srv/copy' },
    })
    for (const [name, text] of [
      ['STAMPEDE_STORE_QUOTA', '0'],
      ['STAMPEDE_STORE_QUOTA', '500 apples'],
      ['STAMPEDE_SCRUB_RATE', '-1'],
      ['STAMPEDE_SCRUB_HOURS', 'weekly'],
      ['STAMPEDE_RECOMPRESS', 'yes'],
      ['STAMPEDE_HEAL_FROM', 'https://user@192.0.2.2/path'],
      ['STAMPEDE_HEAL_TOKEN', 'stp_1'],
    ] as const)
      assert.throws(
        () => read({ [name]: text }),
        (err) => err instanceof ConfigError && err.message.startsWith(name),
        `${name}=${text}`,
      )
  })

  it('reads where a bucket is, and the keys to it', () => {
    const { store } = readConfig(S3, ONE)
    assert.deepEqual(store, {
      kind: 's3',
      access: {
        address: 's3://bucket/a/prefix',
        bucket: 'bucket',
        prefix: 'a/prefix/',
        bucketUrl: 'http://192.0.2.9:7480/bucket/',
        region: 'us-east-1',
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: 'secret',
      },
    })
  })

  for (const [settings, expected] of [
    [{ AWS_ENDPOINT_URL: '' }, 'https://bucket.s3.eu-west-1.amazonaws.com/'],
    [
      { AWS_ENDPOINT_URL: '', STAMPEDE_STORE: 's3://a.bucket' },
      'https://s3.eu-west-1.amazonaws.com/a.bucket/',
    ],
    [{ AWS_ENDPOINT_URL_S3: 'https://minio:9000' }, 'https://minio:9000/bucket/'],
    [{ AWS_ENDPOINT_URL: 'https://bucket.s3.example' }, 'https://bucket.s3.example/'],
  ] as const)
    it(`finds the bucket at ${expected}`, () => {
      const { store } = readConfig({ ...S3, AWS_REGION: 'eu-west-1', ...settings }, ONE)
      assert.equal(store.kind === 's3' && store.access.bucketUrl, expected)
      assert.equal(store.kind === 's3' && store.access.region, 'eu-west-1')
    })

  it('reads every setting', () => {
    const env = {
      ...SERVER,
      DATABASE_URL: 'postgresql://u:p@db/stampede',
      STAMPEDE_STORE: 'file:///srv/chunks',
      STAMPEDE_HTTP: '[::]:80',
      STAMPEDE_URL: 'http://images.example/',
      STAMPEDE_INTERFACE: 'eth0',
      STAMPEDE_DHCP_ROUTER: '10.0.0.254',
      STAMPEDE_DHCP_DNS: '10.0.0.53, 10.0.0.54',
      STAMPEDE_DHCP_LEASE_SECONDS: '600',
      STAMPEDE_DHCP_FORCE: '1',
      STAMPEDE_UNKNOWN: 'ignore',
      STAMPEDE_BOOTY: 'off',
      STAMPEDE_MAX_IMAGE_BYTES: '1000000',
      STAMPEDE_ADMIN_TOKEN: 'sixteen-or-more-characters',
      STAMPEDE_TRUST_RELAYED: '1',
      STAMPEDE_RUN_RETENTION_DAYS: '0',
      STAMPEDE_KEEP_VERSION_DAYS: '90',
      STAMPEDE_PULL_LOCAL: '1',
    }
    const config = readConfig(env, TWO)
    assert.partialDeepStrictEqual(config, {
      database: { kind: 'postgres', url: 'postgresql://u:p@db/stampede' },
      store: { kind: 'folder', folder: '/srv/chunks' },
      http: { host: '::', port: 80 },
      dhcp: {
        mode: 'server',
        range: { start: 0x0a000064, end: 0x0a0000c8 },
        router: '10.0.0.254',
        dns: ['10.0.0.53', '10.0.0.54'],
        leaseSeconds: 600,
        force: true,
      },
      unknown: 'ignore',
      booty: false,
      maxImageBytes: 1_000_000,
      retention: { keepVersions: null, keepDays: 90 },
      pullLocal: true,
      adminToken: 'sixteen-or-more-characters',
      trustRelayed: true,
      runRetentionDays: 0,
    })
    assert.deepEqual(config.warnings, [])
    assert.equal(config.serverUrl(80), 'http://images.example')
  })

  it('an empty variable is an absent one', () => {
    const config = readConfig({ STAMPEDE_DHCP: '', DATABASE_URL: ' ' }, ONE)
    assert.equal(config.dhcp.mode, 'proxy')
    assert.equal(config.database.kind, 'embedded')
  })

  it('tells of settings that it does not know, and of a token that can be guessed', () => {
    const { warnings } = readConfig({ STAMPEDE_DCHP: 'x', STAMPEDE_ADMIN_TOKEN: 'short' }, ONE)
    assert.equal(warnings.length, 2)
    assert.match(warnings[0]!, /STAMPEDE_DCHP/)
    assert.doesNotMatch(warnings[1]!, /short/)
  })

  it('tells of a URL that firmware cannot open', () => {
    const { warnings } = readConfig({ STAMPEDE_URL: 'https://images.example' }, ONE)
    assert.match(warnings.join(), /https:\/\/images\.example.*plain address/)
  })

  it('without DHCP needs no interface, if it knows where machines reach it', () => {
    const off = { STAMPEDE_DHCP: 'off', STAMPEDE_HTTP: '127.0.0.1:0' }
    const config = readConfig(off, TWO)
    assert.equal(config.network, undefined)
    assert.equal(config.tftp, false)
    assert.equal(config.serverUrl(4321), 'http://127.0.0.1:4321')
    assert.equal(readConfig({ ...off, STAMPEDE_INTERFACE: 'eth1' }, TWO).tftp, true)
  })

  const refused: [
    what: string,
    env: Record<string, string>,
    message: RegExp,
    interfaces?: object,
  ][] = [
    ['an unknown mode', { STAMPEDE_DHCP: 'yes' }, /STAMPEDE_DHCP is "yes".*server, proxy, off/],
    ['a server without a range', { STAMPEDE_DHCP: 'server' }, /STAMPEDE_DHCP_RANGE must say/],
    [
      'a range of another network',
      { ...SERVER, STAMPEDE_DHCP_RANGE: '10.0.1.1-10.0.1.9' },
      /not within 10\.0\.0\.1\/24/,
    ],
    [
      'a range that holds our own address',
      { ...SERVER, STAMPEDE_DHCP_RANGE: '10.0.0.1-10.0.0.9' },
      /our own address/,
    ],
    [
      'a range that ends before it begins',
      { ...SERVER, STAMPEDE_DHCP_RANGE: '10.0.0.9-10.0.0.2' },
      /ends before it begins/,
    ],
    ['no range at all', { ...SERVER, STAMPEDE_DHCP_RANGE: '10.0.0.9' }, /first-last/],
    [
      'a range without DHCP',
      { STAMPEDE_DHCP_RANGE: '10.0.0.2-10.0.0.9' },
      /STAMPEDE_DHCP_RANGE is set.*server only, not proxy/,
    ],
    [
      'a DNS server without DHCP',
      { STAMPEDE_DHCP: 'off', STAMPEDE_DHCP_DNS: '10.0.0.2' },
      /STAMPEDE_DHCP_DNS is set.*not off/,
    ],
    [
      'a router of another network',
      { ...SERVER, STAMPEDE_DHCP_ROUTER: '10.0.1.1' },
      /10\.0\.1\.1" which is not within 10\.0\.0\.1\/24/,
    ],
    ['two routers', { ...SERVER, STAMPEDE_DHCP_ROUTER: '10.0.0.2,10.0.0.3' }, /1 at most/],
    ['a name for an address', { ...SERVER, STAMPEDE_DHCP_DNS: 'ns.example' }, /ns\.example/],
    [
      'a URL with a name that no machine can look up',
      { ...SERVER, STAMPEDE_URL: 'http://images.example:8080' },
      /no name server that knows "images\.example".*STAMPEDE_DHCP_DNS/,
    ],
    [
      'leases of a second',
      { ...SERVER, STAMPEDE_DHCP_LEASE_SECONDS: '1' },
      /whole number from 10 /,
    ],
    ['an interface that is not there', { STAMPEDE_INTERFACE: 'eth9' }, /"eth9".*eth0 \(10\.0/],
    ['several interfaces', {}, /STAMPEDE_INTERFACE must name.*eth0.*eth1/, TWO],
    ['no interface', {}, /none has an IPv4 address/, {}],
    ['HTTP without a port', { STAMPEDE_HTTP: '0.0.0.0' }, /address:port/],
    ['HTTP on a port beyond all', { STAMPEDE_HTTP: '0.0.0.0:70000' }, /address:port/],
    [
      'HTTP where machines do not come',
      { STAMPEDE_HTTP: '127.0.0.1:8080' },
      /listens on 127\.0\.0\.1 only.*eth0/,
    ],
    ['a URL with a path', { STAMPEDE_URL: 'http://10.0.0.1/x' }, /without a path/],
    ['a URL of another kind', { STAMPEDE_URL: 'tftp://10.0.0.1' }, /STAMPEDE_URL is "tftp/],
    [
      'nowhere for machines to come to',
      { STAMPEDE_DHCP: 'off' },
      /STAMPEDE_URL must say/,
      LOOPBACK,
    ],
    ['another database', { DATABASE_URL: 'mysql://u:geheim@db/x' }, /^DATABASE_URL is not/],
    [
      'a bucket somewhere',
      { STAMPEDE_STORE: 's3://bucket' },
      /AWS_REGION such as.*AWS_ENDPOINT_URL/,
    ],
    [
      'a bucket without keys',
      { STAMPEDE_STORE: 's3://bucket', AWS_REGION: 'eu-central-1' },
      /needs AWS_ACCESS_KEY_ID/,
    ],
    ['half a key', { ...S3, AWS_SECRET_ACCESS_KEY: '' }, /needs AWS_SECRET_ACCESS_KEY/],
    [
      'a bucket with a query',
      { ...S3, STAMPEDE_STORE: 's3://bucket/a?b' },
      /s3:\/\/bucket\/prefix/,
    ],
    ['an empty folder', { ...S3, STAMPEDE_STORE: 's3://bucket/a//b' }, /s3:\/\/bucket\/prefix/],
    [
      'a folder above the bucket',
      { ...S3, STAMPEDE_STORE: 's3://bucket/../other' },
      /without "\." and "\.\." as a folder/,
    ],
    ['no bucket', { ...S3, STAMPEDE_STORE: 's3://' }, /s3:\/\/bucket\/prefix/],
    ['an endpoint with a path', { ...S3, AWS_ENDPOINT_URL: 'http://s3:80/x' }, /without a path/],
    ['redirects to a folder', { STAMPEDE_STORE_REDIRECT: 'on' }, /needs a store in S3/],
    ['a store that is none', { STAMPEDE_STORE: '/srv/store' }, /file:\/srv/],
    ['an unknown policy', { STAMPEDE_UNKNOWN: 'deploy' }, /inventory, local, ignore/],
    ['a switch that is none', { STAMPEDE_TRUST_RELAYED: 'true' }, /one of 0, 1/],
    ['BOOTy that is neither', { STAMPEDE_BOOTY: '1' }, /one of on, off/],
    ['images of no size', { STAMPEDE_MAX_IMAGE_BYTES: '10GB' }, /whole number from 512/],
    ['images beyond the format', { STAMPEDE_MAX_IMAGE_BYTES: '99999999999999' }, /to 703687/],
    ['runs kept for weeks', { STAMPEDE_RUN_RETENTION_DAYS: '2w' }, /whole number from 0 to 36500/],
    ['a token with a blank', { STAMPEDE_ADMIN_TOKEN: 'two words' }, /printable ASCII/],
  ]
  for (const [what, env, message, interfaces = ONE] of refused)
    it(`refuses ${what} in one sentence`, () => {
      assert.throws(
        () => readConfig(env, interfaces as typeof ONE),
        (err: unknown) => {
          assert.ok(err instanceof ConfigError)
          assert.match(err.message, message)
          assert.doesNotMatch(err.message, /\n|\.$|geheim/)
          return true
        },
      )
    })
})
