import { parseIpv4, type Ipv4 } from '#protocol/ipv4.ts'
import {
  CHUNK_BYTES,
  SEGMENT_CHUNKS,
  segmentCount,
  MANIFEST_MEDIA_TYPE,
} from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import {
  images,
  imageVersions,
  leases,
  machineMacs,
  machines,
  manifests,
  otherDhcpServers,
  reservations,
  runLogs,
  runs,
} from '#server/db/schema.ts'
import {
  ago,
  fakeHash,
  GIB,
  IMAGE_NAMES,
  seedMac,
  seedMachine,
  type SeedMachine,
} from './seed-machines.ts'
import { digestOf, seedLog, seedRuns } from './seed-runs.ts'

/** Rows of one INSERT: Postgres takes 65,535 parameters. */
const BATCH_ROWS = 500
const LEASES = 30

export interface SeedOptions {
  machines: number
  now: Date
}

/** A lab at work: machines in every state, with runs, images, leases and another DHCP server. */
export async function seed(db: Database, options: SeedOptions): Promise<void> {
  const { now } = options
  const fleet = Array.from({ length: options.machines }, (_, number) => seedMachine(number, now))
  await seedImages(db, now)
  await inBatches(fleet.map(machineValues), (rows) => db.insert(machines).values(rows))
  await inBatches(
    fleet.flatMap(({ mac, inventory }) =>
      [...new Set([mac, ...(inventory?.nics ?? []).map((nic) => nic.mac as typeof mac)])].map(
        (card) => ({ mac: card, machine: mac }),
      ),
    ),
    (rows) => db.insert(machineMacs).values(rows),
  )
  const all = fleet
    .flatMap((machine) => seedRuns(machine, now))
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
  await inBatches(all, (rows) => db.insert(runs).values(rows))
  await inBatches(all.slice(-100).flatMap(seedLog), (rows) => db.insert(runLogs).values(rows))
  await seedNetwork(db, fleet, now)
}

async function inBatches<Row>(
  rows: Row[],
  insert: (rows: Row[]) => PromiseLike<unknown>,
): Promise<void> {
  for (let at = 0; at < rows.length; at += BATCH_ROWS) await insert(rows.slice(at, at + BATCH_ROWS))
}

function machineValues(machine: SeedMachine): typeof machines.$inferInsert {
  const { mac, name, image, locked, tags, inventory, boot, lastSeenAt, state } = machine
  return {
    mac,
    name,
    image,
    locked,
    tags,
    inventory,
    boot,
    lastSeenAt,
    state,
    hostname: inventory ? name : null,
    imageDigest: state === 'deployed' && image ? digestOf(image) : null,
    smbiosUuid: inventory?.smbios.uuid ?? null,
    smbiosSerial: inventory?.smbios.serial ?? null,
    manufacturer: inventory?.smbios.manufacturer ?? null,
    product: inventory?.smbios.product ?? null,
    serial: inventory?.smbios.serial ?? null,
    entered: inventory !== null,
    lastInventoryAt: inventory && new Date(inventory.at),
  }
}

const OPERATING_SYSTEMS: Record<(typeof IMAGE_NAMES)[number], string> = {
  'debian-13-server': 'Debian GNU/Linux 13 (trixie)',
  'ubuntu-24.04': 'Ubuntu 24.04.2 LTS',
  'windows-2022': 'Windows Server 2022',
}

async function seedImages(db: Database, now: Date): Promise<void> {
  for (const [index, name] of IMAGE_NAMES.entries()) {
    const digest = digestOf(name)
    const sizeBytes = (10 + index * 5) * GIB
    const segments = Array.from({ length: segmentCount(sizeBytes) }, () => null)
    const manifest = {
      mediaType: MANIFEST_MEDIA_TYPE,
      sizeBytes,
      sectorBytes: 512,
      chunkBytes: CHUNK_BYTES,
      segmentChunks: SEGMENT_CHUNKS,
      segments,
    }
    await db.insert(manifests).values({
      digest,
      bytes: Buffer.from(JSON.stringify(manifest)),
      sizeBytes,
      sectorBytes: 512,
      storedBytes: Math.round((0.7 + index * 2.1) * 1e9),
      contentBytes: Math.round((1.8 + index * 4.3) * 1e9),
      exportBytes: Math.round((0.71 + index * 2.1) * 1e9),
      layoutHash: parseSha256(fakeHash(`layout ${name}`)),
      uniqueBytes: Math.round((0.3 + index * 1.9) * 1e9),
    })
    const rootBytes = sizeBytes - 514 * 1024 ** 2
    const image: typeof images.$inferInsert = {
      name,
      digest,
      createdAt: ago(now, 86_400 * (2 + index * 9)),
      description: index === 0 ? 'Base of all web servers; nginx and the agents are in it' : null,
      info: {
        partitionTable: 'gpt',
        partitions: [
          {
            number: 1,
            startBytes: 1024 ** 2,
            sizeBytes: 512 * 1024 ** 2,
            type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
            fileSystem: 'vfat',
            name: 'EFI System',
          },
          {
            number: 2,
            startBytes: 513 * 1024 ** 2,
            sizeBytes: rootBytes,
            type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
            fileSystem: index === 2 ? 'ntfs' : 'ext4',
            label: index === 2 ? 'Windows' : 'root',
          },
        ],
        bootModes: index === 2 ? ['uefi'] : ['bios', 'uefi'],
        architecture: 'x86_64',
        operatingSystem: OPERATING_SYSTEMS[name],
        source: index === 0 ? `capture of ${seedMac(30)}` : `upload of ${name}.qcow2`,
        rootPartition: 2,
        ...(index === 0 && {
          leftOut: [{ partition: 2, what: 'swap file /swapfile', bytes: 1024 ** 3 }],
          copiedWhole: [{ partition: 1, reason: 'Partition 1: it was not unmounted' }],
        }),
      },
    }
    // The first has a history, and was rolled back.
    const versions = index === 0 ? 3 : 1
    await db
      .insert(images)
      .values({ ...image, version: Math.min(2, versions), lastVersion: versions })
    for (let version = 1; version <= versions; version++) {
      // The newest version is the one after that of two days ago, and none is of the future.
      const made = ago(now, 86_400 * (index * 9 + (version === 1 ? 5 : 4 - version)))
      await db.insert(imageVersions).values({
        image: name,
        version,
        digest,
        info: image.info,
        createdAt: version === 2 ? image.createdAt! : made,
        createdBy: version === 1 ? seedMac(30) : 'maria',
        promotedAt: made,
        promotedBy: 'maria',
      })
    }
  }
}

async function seedNetwork(db: Database, fleet: SeedMachine[], now: Date): Promise<void> {
  const address = (number: number): Ipv4 => parseIpv4(`10.0.0.${20 + number}`)
  await db.insert(leases).values(
    fleet.slice(0, LEASES).map(({ mac, name, number }) => ({
      mac,
      address: address(number),
      state: number % 10 === 9 ? ('released' as const) : ('bound' as const),
      hostname: name,
      expiresAt: ago(now, number % 10 === 9 ? 600 : -1800 - number * 40),
    })),
  )
  await db
    .insert(reservations)
    .values(
      fleet
        .slice(0, 4)
        .map(({ mac, name, number }) => ({ mac, address: address(number), hostname: name })),
    )
  await db.insert(otherDhcpServers).values({
    address: parseIpv4('10.0.0.1'),
    firstHeardAt: ago(now, 86_400),
    lastHeardAt: ago(now, 120),
  })
}
