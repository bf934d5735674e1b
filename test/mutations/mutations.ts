/** A safety rule of the design taken out of the code, and the tests that must notice. */
export interface Mutation {
  /** Of the rules in docs/faults.md, 1 to 13. */
  rule: number
  /** What the code does no more. */
  without: string
  file: string
  /** Occurs once in the file. */
  text: string
  replacement: string
  /** Each of these files fails. */
  tests: readonly string[]
  /** Only the tests whose names match, where the whole file takes long. */
  pattern?: string
}

const STEPS = 'test/agent/steps'
const WRITE_IMAGE = `${STEPS}/write-image.test.ts`
const WRITE_IMAGE_FAULTS = `${STEPS}/write-image-faults.test.ts`

export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 1,
    without: 'a boot token is good for its own machine only',
    file: 'server/runs/hello.ts',
    text: 'if (!(await takeBootToken(tx, bootTokenHash, mac, now))) return',
    replacement: 'if (!(await takeBootToken(tx, bootTokenHash, mac, now)) && !mac) return',
    tests: ['test/server/api/agent-routes.test.ts'],
    pattern: 'takes a boot token once',
  },
  {
    rule: 2,
    without: 'two disks that fit are refused',
    file: 'protocol/disk-choice.ts',
    text: 'if (disk && others.length === 0) return',
    replacement: 'if (disk && others.length >= 0) return',
    tests: ['test/protocol/disk-choice.test.ts', `${STEPS}/check-machine.test.ts`],
  },
  {
    rule: 2,
    without: 'USB and removable disks are no candidates unless named',
    file: 'protocol/disk-choice.ts',
    text: 'return !isPortable || hints.removable === true',
    replacement: 'return !isPortable || hints.removable !== false',
    tests: ['test/protocol/disk-choice.test.ts'],
  },
  {
    rule: 3,
    without: 'an image that is larger than the disk is refused',
    file: 'protocol/run-checks.ts',
    text: 'if (image.sizeBytes <= disk.sizeBytes) return undefined',
    replacement: 'if (image.sizeBytes > 0) return undefined',
    tests: [`${STEPS}/check-machine.test.ts`],
  },
  {
    rule: 3,
    without: 'a disk in use is refused',
    file: 'protocol/run-checks.ts',
    text: 'if (disk.busy !== undefined)',
    replacement: 'if (disk.busy === null)',
    tests: [`${STEPS}/check-machine.test.ts`],
  },
  {
    rule: 4,
    without: 'both ends of the disk are made zero before anything else',
    file: 'agent/steps/write-image.ts',
    text: '  await wipeEnds(device)\n  const facts',
    replacement: '  const facts',
    tests: [WRITE_IMAGE],
    pattern: 'zeroes 4 MiB at both ends',
  },
  {
    rule: 4,
    without: 'both ends are made zero again after a failure',
    file: 'agent/steps/write-image.ts',
    text: '    await keepUnbootable(context, device)\n',
    replacement: '',
    tests: ['test/faults/deploy-device.test.ts'],
    pattern: 'the partition table: bit flip|flush after the last write',
  },
  {
    rule: 5,
    without: 'what was written is compared when it is read back',
    file: 'agent/pipeline/verify-pieces.ts',
    text: 'if ((await hashChunk(bytes)) !== piece.hash) throw',
    replacement: "if ((await hashChunk(bytes)) === '') throw",
    tests: [WRITE_IMAGE_FAULTS, 'test/faults/deploy-device.test.ts'],
    pattern: 'loses a bit of a chunk|the middle: (bit flip|lost write)',
  },
  {
    rule: 5,
    without: 'the hash of a chunk is compared before it is written',
    file: 'agent/http-chunk-client.ts',
    text: 'if (content.hash !== hash)',
    replacement: "if (content.hash === '')",
    tests: [WRITE_IMAGE_FAULTS],
    pattern: 'a corrupt chunk in the middle',
  },
  {
    rule: 5,
    without: 'the server believes a deployment only with a receipt that says imageVerified',
    file: 'server/runs/rules.ts',
    text: "body.state === 'succeeded' && !body.receipt?.imageVerified)",
    replacement: "body.state === 'succeeded' && !body.state)",
    tests: ['test/server/runs/rules.test.ts'],
  },
  {
    rule: 6,
    without: 'a disk is set read-only while it is captured',
    file: 'agent/disk/device.ts',
    text: 'system.setReadOnly(fd, true)',
    replacement: 'system.isReadOnly(fd)',
    tests: [`${STEPS}/read-image.test.ts`],
    pattern: 'holds the disk read-only',
  },
  {
    rule: 7,
    without: 'zeros are read back',
    file: 'agent/pipeline/verify-pieces.ts',
    text: 'if (!isZero(bytes)) throw readBackError(device, start)',
    replacement: 'if (bytes.length === 0) throw readBackError(device, start)',
    tests: [WRITE_IMAGE_FAULTS],
    pattern: 'loses a bit of zeros',
  },
  {
    rule: 8,
    without: 'an image is made only when every chunk of it is there',
    file: 'server/images/commit/check-image.ts',
    text: 'if (missing.size > 0) throw',
    replacement: 'if (missing.size < 0) throw',
    tests: ['test/server/api/chunk-routes.test.ts'],
  },
  {
    rule: 9,
    without: 'a machine that never finished is not imaged a fourth time',
    file: 'server/runs/rules.ts',
    text: '  if (run.attempts >= MAX_ATTEMPTS) return tooManyAttempts(run, now)\n  const expected',
    replacement: '  const expected',
    tests: ['test/server/runs/rules.test.ts'],
  },
  {
    rule: 9,
    without: 'a clock that was set ends no run',
    file: 'server/runs/listening.ts',
    text: 'if (Math.abs(ahead - before) > SET_MILLISECONDS)',
    replacement: 'if (Math.abs(ahead - before) === Infinity)',
    tests: ['test/server/api/agent-routes.test.ts'],
    pattern: 'a clock that is set',
  },
  {
    rule: 9,
    without: 'a database that panicked is asked nothing more',
    file: 'server/db/embedded-failure.ts',
    text: '    if (isPanic(err))',
    replacement: '    if (isPanic(err) && !failed)',
    tests: ['test/server/db/embedded-failure.test.ts'],
    pattern: 'stops where its log',
  },
  {
    rule: 9,
    without: 'the server ends when its database panicked',
    file: 'server/main.ts',
    text: "app.database.failed.addEventListener('abort', ",
    replacement: "app.database.failed.addEventListener('never', ",
    tests: ['test/server/main.test.ts'],
    pattern: 'its database panics',
  },
  {
    rule: 8,
    without: 'no image is begun that the database has no room for',
    file: 'server/api/image-library.ts',
    text: '    await database.checkRoom()\n    await touch(holder)',
    replacement: '    await touch(holder)',
    tests: ['test/server/api/database-room.test.ts'],
  },
  {
    rule: 10,
    without: 'a malformed packet is dropped, and the service goes on',
    file: 'server/dhcp/dhcp-server.ts',
    text: "if (err instanceof DhcpDecodeError) log.debug({ err, peer }, 'Ignoring malformed packet')",
    replacement: 'if (err instanceof DhcpDecodeError) throw err',
    tests: ['test/server/dhcp/flood.test.ts'],
  },
  {
    rule: 11,
    without: 'LVM sees the partitions of the target only',
    file: 'agent/system/volumes.ts',
    text: "const scope = ['--devices', pvPaths.join(','), '--config', LVM_CONFIG]",
    replacement: "const scope = ['--config', LVM_CONFIG]",
    tests: ['test/agent/system/volumes.test.ts'],
  },
  {
    rule: 12,
    without: 'a machine with another SMBIOS identity is refused',
    file: 'protocol/machine-identity.ts',
    text: 'wanted === actual) continue',
    replacement: 'wanted !== undefined) continue',
    tests: ['test/protocol/machine-identity.test.ts', `${STEPS}/check-machine.test.ts`],
  },
  {
    rule: 13,
    without: 'a qcow2 file with a backing file is refused',
    file: 'server/images/import/qcow2-header.ts',
    text: 'if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0)',
    replacement: 'if (view.byteLength === 0)',
    tests: ['test/server/images/import/qcow2.test.ts'],
    pattern: 'refused',
  },
]
