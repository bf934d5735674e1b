import assert from 'node:assert'
import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { CHUNK_BYTES, SEGMENT_CHUNKS } from '#protocol/image/image.ts'
import {
  formatIpv4Cidr,
  networkRange,
  parseIpv4,
  parseIpv4Range,
  rangeContains,
  type Ipv4,
  type Ipv4Cidr,
  type Ipv4Range,
} from '#protocol/ipv4.ts'
import type { RetentionRule } from '#protocol/image/image-version.ts'
import type { DatabaseConfig } from './db/database.ts'
import {
  ConfigError,
  type Env,
  readBytes,
  readChoice,
  readInteger,
  readOnOff,
  readSwitch,
  readVariable as read,
  readWith,
} from './settings/env.ts'
import { CARE_SETTINGS, type CareConfig, readCare } from './settings/care-config.ts'
import { parseStore, type StoreConfig } from './settings/store-config.ts'

/** All that an operator can choose; read once, checked whole. */
export interface Config {
  /** Absolute; everything local lies here. */
  dataFolder: string
  database: DatabaseConfig
  store: StoreConfig
  /** Whether agents get chunks from the store itself, past this server. */
  storeRedirect: boolean
  /** Another store, by its address, with the same keys. Throws ConfigError. */
  storeAt(address: string): StoreConfig
  http: Endpoint
  /** HTTPS beside it, for people; firmware speaks plain HTTP only. */
  tls: TlsConfig | undefined
  /** How machines reach us: without a slash at its end; the port is the one that was opened. */
  serverUrl(openedPort: number): string
  /** Where machines are; only with DHCP off may there be none. */
  network: NetworkConfig | undefined
  /** Whether to answer TFTP there: with DHCP off only if the interface was named. */
  tftp: boolean
  dhcp: DhcpConfig
  /** What happens to machines that we don't know; `ignore`: no DHCP answer. */
  unknown: UnknownPolicy
  booty: boolean
  maxImageBytes: number
  /** Fetch images from this server itself and from its link too. */
  pullLocal: boolean
  /** Which versions of an image are kept, if nothing else was said of it. */
  retention: RetentionRule
  /** How many bytes all chunks together may have; undefined: as many as there is room for. */
  storeQuotaBytes: number | undefined
  care: CareConfig
  /** Absent: the one in the data folder, made at the first start. */
  adminToken: string | undefined
  /** Trust the MAC that an asker from beyond the link names. */
  trustRelayed: boolean
  /** For how long runs that ended are kept; 0: for ever. */
  runRetentionDays: number
  /** What works, but is probably not what was meant. */
  warnings: string[]
}

export interface Endpoint {
  host: string
  port: number
}

export interface TlsConfig extends Endpoint {
  /** PEM: the certificate, and those between it and the root. */
  certPath: string
  keyPath: string
}

export interface NetworkConfig {
  interface: string
  cidr: Ipv4Cidr
}

export type DhcpConfig = { mode: 'off' } | { mode: 'proxy' } | DhcpServerConfig

export interface DhcpServerConfig {
  mode: 'server'
  range: Ipv4Range
  router: Ipv4 | undefined
  dns: Ipv4[]
  leaseSeconds: number
  /** Start although another DHCP server answers. */
  force: boolean
}

export const UNKNOWN_POLICIES = ['inventory', 'local', 'ignore'] as const
export type UnknownPolicy = (typeof UNKNOWN_POLICIES)[number]

type Interfaces = ReturnType<typeof networkInterfaces>

export { ConfigError }

const NAMES = [
  'DATA STORE STORE_REDIRECT HTTP URL INTERFACE DHCP DHCP_RANGE DHCP_ROUTER DHCP_DNS DHCP_LEASE_SECONDS',
  'DHCP_FORCE UNKNOWN BOOTY MAX_IMAGE_BYTES ADMIN_TOKEN TRUST_RELAYED',
  'HTTPS TLS_CERT TLS_KEY RUN_RETENTION_DAYS KEEP_VERSIONS KEEP_VERSION_DAYS PULL_LOCAL',
]
  .flatMap((line) => line.split(' ').map((name) => `STAMPEDE_${name}`))
  .concat(CARE_SETTINGS)

/** As many segments as a manifest may list: 64 TiB. */
const MOST_IMAGE_BYTES = 2048 * SEGMENT_CHUNKS * CHUNK_BYTES
const DEFAULT_LEASE_SECONDS = 3600
const SHORTEST_LEASE_SECONDS = 10
/** RFC 2131 §3.3: all ones would mean for ever. */
const LONGEST_LEASE_SECONDS = 2 ** 31
const WEAK_TOKEN_CHARACTERS = 16
const DEFAULT_RETENTION_DAYS = 365
const DEFAULT_KEPT_VERSIONS = 10
const MOST_KEPT_VERSIONS = 100_000
/** A century, so that the date is one that every database knows. */
const LONGEST_RETENTION_DAYS = 36_500

/** Throws ConfigError. An empty variable counts as absent, as in a compose file. */
export function readConfig(env: Env, interfaces: Interfaces = networkInterfaces()): Config {
  const dataFolder = resolve(read(env, 'STAMPEDE_DATA') ?? './data')
  const http = readEndpoint('STAMPEDE_HTTP', env, '0.0.0.0:8080')
  const mode = readChoice(env, 'STAMPEDE_DHCP', ['server', 'proxy', 'off'] as const, 'proxy')
  const network = readNetwork(env, interfaces, mode !== 'off')
  return {
    dataFolder,
    database: readDatabase(env, dataFolder),
    ...readStore(env, dataFolder),
    http,
    tls: readTls(env, http),
    serverUrl: readUrl(env, http, network, mode !== 'off'),
    network,
    tftp: mode !== 'off' || read(env, 'STAMPEDE_INTERFACE') !== undefined,
    dhcp: readDhcp(env, mode, network),
    unknown: readChoice(env, 'STAMPEDE_UNKNOWN', UNKNOWN_POLICIES, 'inventory'),
    booty: readOnOff(env, 'STAMPEDE_BOOTY', 'on'),
    maxImageBytes: readInteger(env, 'STAMPEDE_MAX_IMAGE_BYTES', {
      least: 512,
      most: MOST_IMAGE_BYTES,
      absent: MOST_IMAGE_BYTES,
    }),
    retention: readRetention(env),
    pullLocal: readSwitch(env, 'STAMPEDE_PULL_LOCAL'),
    storeQuotaBytes: readBytes(env, 'STAMPEDE_STORE_QUOTA'),
    care: readCare(env),
    adminToken: readAdminToken(env),
    trustRelayed: readSwitch(env, 'STAMPEDE_TRUST_RELAYED'),
    runRetentionDays: readInteger(env, 'STAMPEDE_RUN_RETENTION_DAYS', {
      least: 0,
      most: LONGEST_RETENTION_DAYS,
      absent: DEFAULT_RETENTION_DAYS,
    }),
    warnings: findWarnings(env),
  }
}

/** 0 of both: every version for ever. Days alone keep what is younger, and nothing else. */
function readRetention(env: Env): RetentionRule {
  const limits = { least: 0, most: MOST_KEPT_VERSIONS }
  const keepDays = readInteger(env, 'STAMPEDE_KEEP_VERSION_DAYS', { ...limits, absent: 0 })
  const absent = keepDays > 0 ? 0 : DEFAULT_KEPT_VERSIONS
  const keepVersions = readInteger(env, 'STAMPEDE_KEEP_VERSIONS', { ...limits, absent })
  return { keepVersions: keepVersions || null, keepDays: keepDays || null }
}

function readDatabase(env: Env, dataFolder: string): DatabaseConfig {
  const url = read(env, 'DATABASE_URL')
  if (url === undefined) return { kind: 'embedded', folder: resolve(dataFolder, 'database') }
  // Not repeated in the message: it usually holds a password.
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url))
    throw new ConfigError(
      'DATABASE_URL is not an address of a Postgres such as postgresql://user:password@host:5432/stampede',
    )
  return { kind: 'postgres', url }
}

function readStore(
  env: Env,
  dataFolder: string,
): Pick<Config, 'store' | 'storeRedirect' | 'storeAt'> {
  const text = read(env, 'STAMPEDE_STORE') ?? `file:${resolve(dataFolder, 'store')}`
  const store = parseStore('STAMPEDE_STORE', text, env)
  const storeRedirect = readOnOff(env, 'STAMPEDE_STORE_REDIRECT', 'off')
  if (storeRedirect && store.kind !== 's3')
    throw new ConfigError(
      'STAMPEDE_STORE_REDIRECT is "on", which needs a store in S3 that machines can reach; set STAMPEDE_STORE to one such as s3://stampede',
    )
  return { store, storeRedirect, storeAt: (address) => parseStore('The store', address, env) }
}

/** Absent without a certificate. */
function readTls(env: Env, http: Endpoint): TlsConfig | undefined {
  const cert = read(env, 'STAMPEDE_TLS_CERT')
  const key = read(env, 'STAMPEDE_TLS_KEY')
  if (cert === undefined || key === undefined) {
    const stray = ['STAMPEDE_TLS_CERT', 'STAMPEDE_TLS_KEY', 'STAMPEDE_HTTPS'].find((name) =>
      read(env, name),
    )
    if (stray === undefined) return undefined
    const missing = cert === undefined ? 'STAMPEDE_TLS_CERT' : 'STAMPEDE_TLS_KEY'
    throw new ConfigError(`${stray} is set, which needs ${missing} too: the path of a PEM file`)
  }
  const endpoint = readEndpoint('STAMPEDE_HTTPS', env, '0.0.0.0:8443')
  if (endpoint.port !== 0 && endpoint.port === http.port)
    throw new ConfigError(
      `STAMPEDE_HTTPS and STAMPEDE_HTTP are both on port ${http.port}; plain HTTP stays for firmware, so choose another for HTTPS`,
    )
  return { ...endpoint, certPath: resolve(cert), keyPath: resolve(key) }
}

function readEndpoint(name: string, env: Env, absent: string): Endpoint {
  const text = read(env, name) ?? absent
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535)
    throw new ConfigError(`${name} is "${text}" but must be address:port such as ${absent}`)
  return { host, port: Number(port) }
}

/** The interface that was named, or the only one with an address. */
function readNetwork(env: Env, interfaces: Interfaces, needed: boolean): NetworkConfig | undefined {
  const networks = Object.entries(interfaces).flatMap(([name, addresses = []]) => {
    const found = addresses.find(({ family, cidr }) => family === 'IPv4' && cidr)
    if (!found) return []
    const [address = '', prefixLength] = found.cidr!.split('/')
    const cidr = { address: parseIpv4(address), prefixLength: Number(prefixLength) }
    return [{ interface: name, cidr, internal: found.internal }]
  })
  const name = read(env, 'STAMPEDE_INTERFACE')
  if (name !== undefined) {
    const named = networks.find((network) => network.interface === name)
    if (named) return { interface: name, cidr: named.cidr }
    const state = name in interfaces ? 'has no IPv4 address' : 'does not exist or is down'
    throw new ConfigError(
      `STAMPEDE_INTERFACE is "${name}" which ${state}; ${listNetworks(networks)}`,
    )
  }
  const [only, ...others] = networks.filter(({ internal }) => !internal)
  if (only && others.length === 0) return { interface: only.interface, cidr: only.cidr }
  if (!needed) return undefined
  throw new ConfigError(
    `STAMPEDE_INTERFACE must name where DHCP answers; ${listNetworks(networks)}`,
  )
}

function listNetworks(networks: NetworkConfig[]): string {
  const list = networks.map((network) => `${network.interface} (${formatIpv4Cidr(network.cidr)})`)
  return list.length ? `with an address there are ${list.join(', ')}` : 'none has an IPv4 address'
}

function readUrl(
  env: Env,
  http: Config['http'],
  network: NetworkConfig | undefined,
  dhcpOn: boolean,
): Config['serverUrl'] {
  const text = read(env, 'STAMPEDE_URL')
  if (text !== undefined) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.pathname + url.search + url.hash !== '/')
      throw new ConfigError(
        `STAMPEDE_URL is "${text}" but must be like http://192.0.2.1:8080, without a path`,
      )
    return () => url.origin
  }
  const everywhere = ['0.0.0.0', '::'].includes(http.host)
  if (!everywhere && dhcpOn && http.host !== network?.cidr.address)
    throw new ConfigError(
      `STAMPEDE_HTTP listens on ${http.host} only, but machines on ${network?.interface} would be sent to ${network?.cidr.address}; set STAMPEDE_URL to where they reach it`,
    )
  const host = everywhere ? network?.cidr.address : http.host
  if (host === undefined)
    throw new ConfigError(
      'STAMPEDE_URL must say how machines reach this server, such as http://192.0.2.1:8080',
    )
  return (openedPort) =>
    new URL(`http://${host.includes(':') ? `[${host}]` : host}:${openedPort}`).origin
}

function readDhcp(
  env: Env,
  mode: DhcpConfig['mode'],
  network: NetworkConfig | undefined,
): DhcpConfig {
  if (mode !== 'server') {
    const stray = NAMES.find((name) => name.startsWith('STAMPEDE_DHCP_') && read(env, name))
    if (stray)
      throw new ConfigError(`${stray} is set, which is for STAMPEDE_DHCP=server only, not ${mode}`)
    return { mode }
  }
  assert(network, 'a network is there whenever DHCP is on')
  return {
    mode,
    range: readRange(env, network),
    router: readRouter(env, network),
    dns: readAddresses(env, 'STAMPEDE_DHCP_DNS', 16),
    leaseSeconds: readInteger(env, 'STAMPEDE_DHCP_LEASE_SECONDS', {
      least: SHORTEST_LEASE_SECONDS,
      most: LONGEST_LEASE_SECONDS,
      absent: DEFAULT_LEASE_SECONDS,
    }),
    force: readSwitch(env, 'STAMPEDE_DHCP_FORCE'),
  }
}

function readRange(env: Env, { cidr, interface: name }: NetworkConfig): Ipv4Range {
  const text = read(env, 'STAMPEDE_DHCP_RANGE')
  if (text === undefined)
    throw new ConfigError('STAMPEDE_DHCP_RANGE must say which addresses to lease, as first-last')
  const range = readWith('STAMPEDE_DHCP_RANGE', text, parseIpv4Range)
  const all = networkRange(cidr)
  if (range.start < all.start || range.end > all.end)
    throw new ConfigError(
      `STAMPEDE_DHCP_RANGE is "${text}" which is not within ${formatIpv4Cidr(cidr)}, the network of ${name}`,
    )
  if (rangeContains(range, cidr.address))
    throw new ConfigError(
      `STAMPEDE_DHCP_RANGE is "${text}" which holds ${cidr.address}, our own address`,
    )
  return range
}

/** RFC 2132 §3.5: routers on the client's subnet; it could reach no other. */
function readRouter(env: Env, { cidr, interface: name }: NetworkConfig): Ipv4 | undefined {
  const [router] = readAddresses(env, 'STAMPEDE_DHCP_ROUTER', 1)
  if (router !== undefined && !rangeContains(networkRange(cidr), router))
    throw new ConfigError(
      `STAMPEDE_DHCP_ROUTER is "${router}" which is not within ${formatIpv4Cidr(cidr)}, the network of ${name}`,
    )
  return router
}

function readAddresses(env: Env, name: string, most: number): Ipv4[] {
  const text = read(env, name)
  if (text === undefined) return []
  const addresses = text.split(',').map((part) => readWith(name, part.trim(), parseIpv4))
  if (addresses.length > most)
    throw new ConfigError(`${name} is "${text}" but may hold ${most} at most`)
  return addresses
}

function readAdminToken(env: Env): string | undefined {
  const token = read(env, 'STAMPEDE_ADMIN_TOKEN')
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new ConfigError('STAMPEDE_ADMIN_TOKEN may only hold printable ASCII without spaces')
  return token
}

function findWarnings(env: Env): string[] {
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('STAMPEDE_') && !NAMES.includes(name),
  )
  const warnings = unknown.map((name) => `${name} is not a setting of this server and is ignored`)
  const token = readAdminToken(env)
  if (token !== undefined && token.length < WEAK_TOKEN_CHARACTERS)
    warnings.push(`STAMPEDE_ADMIN_TOKEN has fewer than ${WEAK_TOKEN_CHARACTERS} characters`)
  return warnings
}
