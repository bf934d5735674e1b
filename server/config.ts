import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { CHUNK_BYTES, SEGMENT_CHUNKS } from '#protocol/image/image.ts'
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
} from './settings/env.ts'
import { CARE_SETTINGS, type CareConfig, readCare } from './settings/care-config.ts'
import { DHCP_SETTINGS, type DhcpConfig, readDhcp } from './settings/dhcp-config.ts'
import {
  type Endpoint,
  readEndpoint,
  readTls,
  readUrl,
  type TlsConfig,
} from './settings/http-config.ts'
import { type Interfaces, type NetworkConfig, readNetwork } from './settings/network-config.ts'
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

export const UNKNOWN_POLICIES = ['inventory', 'local', 'ignore'] as const
export type UnknownPolicy = (typeof UNKNOWN_POLICIES)[number]

export { ConfigError }

const NAMES = [
  'DATA STORE STORE_REDIRECT HTTP URL INTERFACE DHCP UNKNOWN BOOTY MAX_IMAGE_BYTES ADMIN_TOKEN TRUST_RELAYED',
  'HTTPS TLS_CERT TLS_KEY RUN_RETENTION_DAYS KEEP_VERSIONS KEEP_VERSION_DAYS PULL_LOCAL',
]
  .flatMap((line) => line.split(' ').map((name) => `STAMPEDE_${name}`))
  .concat(DHCP_SETTINGS, CARE_SETTINGS)

/** As many segments as a manifest may list: 64 TiB. */
const MOST_IMAGE_BYTES = 2048 * SEGMENT_CHUNKS * CHUNK_BYTES
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
  const url = read(env, 'STAMPEDE_URL')
  if (url !== undefined && /^https:/i.test(url))
    warnings.push(
      `STAMPEDE_URL is "${url}" but firmware and Debian's iPXE speak no HTTPS; unless an iPXE that does is in the boot folder, use the plain address such as http://192.0.2.1:8080`,
    )
  return warnings
}
