import { access, constants, statfs } from 'node:fs/promises'
import { sql } from 'drizzle-orm'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Check, CheckName, SystemStatus } from '#protocol/system-status.ts'
import { findAgentFile } from './agent-files.ts'
import type { StoreStatistics } from './api/library/image-statistics.ts'
import type { Config } from './config.ts'
import { listDamagedVersions } from './db/images/damaged-chunks.ts'
import type { Database } from './db/database.ts'
import { listOtherDhcpServers } from './db/network/other-dhcp-servers.ts'
import { StoreUnreachableError } from './images/store/chunk-store.ts'
import type { StoreRoom } from './images/store/store-room.ts'
import type { S3Access } from './images/s3/s3-access.ts'
import { lookAtS3 } from './images/s3/s3-check.ts'
import { VERSION } from './version.ts'

export interface SystemStatusOptions {
  config: Config
  db: Database
  url: string
  tftp: string
  bootFileNames: () => Promise<ReadonlySet<string>>
  storeStatistics: () => Promise<Omit<StoreStatistics, 'chunks' | 'codecs'>>
  storeRoom: () => Promise<Pick<StoreRoom, 'quotaBytes' | 'usedBytes'>>
  startedAt: Date
  now: () => Date
}

/** Below this a single capture may fill the store. */
const SCARCE_BYTES = 20 * 1024 ** 3
/** Of a small quota, below this share of it. */
const SCARCE_SHARE = 0.1
/** Clocks of server and database may differ by this before it confuses anybody. */
const CLOCK_TOLERANCE_SECONDS = 5
/** A certificate or a file of before this means that the clock was never set. */
const EARLIEST = new Date('2025-01-01T00:00:00Z')
/** One that was not heard for this long is probably gone. */
const HEARD_HOURS = 24

/** How the server is at this moment. */
export async function readSystemStatus(options: SystemStatusOptions): Promise<SystemStatus> {
  const { config, db, startedAt } = options
  const statistics = await options.storeStatistics()
  const { store } = config
  const freeBytes = store.kind === 'folder' ? await readFreeBytes(store.folder) : null
  const bytes = await readDatabaseBytes(db)
  return {
    version: VERSION,
    node: process.version,
    startedAt: startedAt.toISOString(),
    database: { kind: config.database.kind, ...(bytes !== undefined && { bytes }) },
    store: {
      kind: store.kind,
      location: store.kind === 'folder' ? store.folder : store.access.address,
      freeBytes,
      ...statistics,
    },
    checks: await runChecks(options, freeBytes),
  }
}

async function readFreeBytes(folder: string): Promise<number | null> {
  return statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  )
}

async function readDatabaseBytes(db: Database): Promise<number | undefined> {
  const found = await query(db, sql`select pg_database_size(current_database()) as value`)
  return found === undefined ? undefined : Number(found)
}

/** Undefined if the database does not answer, or not this. */
async function query(db: Database, statement: ReturnType<typeof sql>): Promise<unknown> {
  const result = await db.execute(statement).catch(() => undefined)
  return (result as { rows: { value: unknown }[] } | undefined)?.rows[0]?.value
}

async function runChecks(options: SystemStatusOptions, freeBytes: number | null): Promise<Check[]> {
  return [
    checkHttp(options),
    checkDhcp(options),
    checkTftp(options),
    await checkBootFiles(options),
    await checkAgentFiles(options),
    (await checkDamage(options)) ??
      (await checkQuota(options)) ??
      (await checkStore(options, freeBytes)),
    ...(await checkDatabase(options)),
    await checkOtherServers(options),
  ]
}

const well = (name: CheckName, message: string): Check => ({ name, ok: true, message })
const ill = (name: CheckName, message: string): Check => ({ name, ok: false, message })

function checkHttp({ url, config }: SystemStatusOptions): Check {
  const host = new URL(url).hostname
  const isLoopback = /^(127\.|localhost$|\[::1\]$)/.test(host)
  if (isLoopback && config.dhcp.mode !== 'off')
    return ill('http', `Machines are sent to ${url}, which is this host alone; set STAMPEDE_URL`)
  return well('http', `Machines reach this server at ${url}`)
}

function checkDhcp({ config }: SystemStatusOptions): Check {
  const where = config.network?.interface
  switch (config.dhcp.mode) {
    case 'off':
      return well('dhcp', 'DHCP is off; another server has to send machines here')
    case 'proxy':
      return well('dhcp', `Boot information goes out on ${where}, beside another DHCP server`)
    case 'server':
      return well('dhcp', `Addresses and boot information go out on ${where}`)
  }
}

function checkTftp({ tftp, config }: SystemStatusOptions): Check {
  if (/ port \d+$/.test(tftp) && !tftp.includes(':')) return well('tftp', `TFTP answers on ${tftp}`)
  if (tftp === 'off' && config.dhcp.mode === 'off')
    return well('tftp', 'TFTP is off; another server has to serve boot files')
  return ill('tftp', tftp === 'off' ? 'TFTP is off, so BIOS and UEFI PXE cannot boot' : tftp)
}

async function checkBootFiles({ bootFileNames }: SystemStatusOptions): Promise<Check> {
  const names = [...(await bootFileNames())].toSorted()
  if (names.length === 0)
    return ill('boot-files', 'There is no iPXE to send to machines; install the package "ipxe"')
  const lacking = [
    names.includes('undionly.kpxe') ? [] : 'BIOS (undionly.kpxe)',
    names.some((name) => /^(snponly|ipxe)\.efi$/.test(name)) ? [] : 'UEFI (snponly.efi)',
  ].flat()
  if (lacking.length > 0)
    return ill(
      'boot-files',
      `There is no boot file for ${lacking.join(' and ')}; put it into the boot folder`,
    )
  return well('boot-files', `Machines can load ${names.join(', ')}`)
}

async function checkAgentFiles({ config }: SystemStatusOptions): Promise<Check> {
  const kernel = await findAgentFile(config.dataFolder, 'kernel')
  const initrd = await findAgentFile(config.dataFolder, 'initrd')
  if (kernel === undefined || initrd === undefined)
    return ill(
      'agent-files',
      'There is no kernel or initramfs for machines, so no run can start; build them with "npm run initramfs"',
    )
  return well('agent-files', `Machines get ${kernel} and ${initrd}`)
}

/** Before all else that may be said of the store. */
async function checkDamage({ db }: SystemStatusOptions): Promise<Check | undefined> {
  const damaged = await listDamagedVersions(db).catch(() => [])
  if (damaged.length === 0) return undefined
  const names = damaged.map(({ name }) => `"${name}"`).join(', ')
  return ill(
    'store',
    `The chunk store has lost parts of ${damaged.length === 1 ? 'image' : 'images'} ${names}; capture or upload their content again, and look after its disk`,
  )
}

/** Undefined while there is no quota, or enough left of it. */
async function checkQuota({ storeRoom }: SystemStatusOptions): Promise<Check | undefined> {
  const { quotaBytes, usedBytes } = await storeRoom()
  if (quotaBytes === null) return undefined
  const leftBytes = Math.max(0, quotaBytes - usedBytes)
  if (leftBytes >= Math.min(SCARCE_BYTES, quotaBytes * SCARCE_SHARE)) return undefined
  return ill(
    'store',
    `Only ${formatBytes(leftBytes)} are left of the chunk store's quota of ${formatBytes(quotaBytes)}; delete images or raise STAMPEDE_STORE_QUOTA`,
  )
}

async function checkStore(
  { config }: SystemStatusOptions,
  freeBytes: number | null,
): Promise<Check> {
  if (config.store.kind === 's3') return await checkS3(config.store.access)
  const { folder } = config.store
  try {
    await access(folder, constants.W_OK)
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err)
    return ill('store', `The chunk store "${folder}" cannot be written: ${reason}`)
  }
  if (freeBytes === null) return ill('store', `The space left in "${folder}" cannot be told`)
  const free = `${(freeBytes / 1e9).toFixed(1)} GB`
  if (freeBytes < SCARCE_BYTES)
    return ill('store', `Only ${free} are left in "${folder}"; delete images or give it more space`)
  return well('store', `${free} are left in "${folder}"`)
}

async function checkS3(access: S3Access): Promise<Check> {
  try {
    await lookAtS3(access)
    return well('store', `The chunk store ${access.address} answers`)
  } catch (err) {
    if (!(err instanceof StoreUnreachableError)) throw err
    return ill('store', err.message)
  }
}

/** Also the clock: the database's is another one, on which expiry depends nowhere, but people do. */
async function checkDatabase({ config, db }: SystemStatusOptions): Promise<Check[]> {
  const asked = Date.now()
  const answer = await query(db, sql`select extract(epoch from clock_timestamp()) * 1000 as value`)
  if (answer === undefined) return [ill('database', 'The database does not answer'), checkClock(0)]
  const name = config.database.kind === 'embedded' ? 'The embedded database' : 'Postgres'
  const milliseconds = Date.now() - asked
  const apart = (Number(answer) - (asked + milliseconds / 2)) / 1000
  return [well('database', `${name} answers in ${milliseconds} ms`), checkClock(apart)]
}

function checkClock(secondsApart: number): Check {
  const clock = new Date()
  if (clock < EARLIEST)
    return ill('clock', `The clock says ${clock.toISOString()}; set it, or run an NTP client`)
  if (Math.abs(secondsApart) > CLOCK_TOLERANCE_SECONDS)
    return ill(
      'clock',
      `The database's clock is ${secondsApart.toFixed(0)} seconds from this server's; run an NTP client on both`,
    )
  return well('clock', `The clock says ${clock.toISOString()}`)
}

async function checkOtherServers({ config, db, now }: SystemStatusOptions): Promise<Check> {
  const name = 'other-dhcp-servers'
  const limit = now().getTime() - HEARD_HOURS * 3_600_000
  const servers = (await listOtherDhcpServers(db))
    .filter(({ lastHeardAt }) => lastHeardAt.getTime() >= limit)
    .map(({ address }) => address)
  const list = servers.join(', ')
  switch (config.dhcp.mode) {
    case 'off':
      return well(name, 'With DHCP off nobody listens for other DHCP servers')
    case 'server':
      return servers.length === 0
        ? well(name, 'No other DHCP server was heard')
        : ill(
            name,
            `Another DHCP server was heard (${list}); two of them give out each other's addresses`,
          )
    case 'proxy':
      return servers.length > 0
        ? well(name, `Addresses come from ${list}`)
        : ill(
            name,
            'No DHCP server was heard that gives out addresses, without which no machine boots; start one, or set STAMPEDE_DHCP=server',
          )
  }
}
