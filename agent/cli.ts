import { hostname } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { Value } from 'typebox/value'
import type { AgentRun } from '#protocol/run/agent.ts'
import { describeDisk, formatBytes } from '#protocol/machine/disk-choice.ts'
import { ImageSchema, type Image } from '#protocol/image/image-info.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { IMAGE_NAME_PATTERN } from '#protocol/names.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { exec } from './exec.ts'
import { createHttpClient, type HttpClient } from './client/http.ts'
import { createChunkClient } from './client/http-chunk-client.ts'
import { diskName, readDiskAt } from './inventory/disks.ts'
import { takeInventory } from './inventory/inventory.ts'
import { createProgressLine } from './progress-line.ts'
import { createReachLog } from './client/reach-log.ts'
import { readReceipt } from './verify/receipt-file.ts'
import { runSteps, type Steps } from './run-steps.ts'
import { checkMachine } from './steps/check-machine.ts'
import { readImageWith } from './steps/read-image.ts'
import type { DisklessContext } from './steps/step.ts'
import { writeImageWith } from './steps/write-image.ts'
import { verifyDisk } from './verify/verify-command.ts'
import { tellReport } from './verify/verify-report.ts'
import { AGENT_VERSION } from './version.ts'

/** A person waits: a server that is away for longer is reported. */
const MAX_OUTAGE_SECONDS = 120
/** Exit codes: 0 done, 1 failed, 2 not understood. */
const EXIT_FAILED = 1
const EXIT_USAGE = 2

interface CommonOptions {
  disk: string
  server: string
  image: string
  token?: string
}

interface CaptureOptions extends CommonOptions {
  whole?: boolean
}

interface DeployOptions extends CommonOptions {
  yes?: boolean
  verify: boolean
  force?: boolean
  allowShrink?: boolean
  zeroUnused?: boolean
}

interface VerifyOptions extends Omit<CommonOptions, 'image'> {
  image?: string
  receipt?: string
  json?: boolean
}

/** Told on standard output already. */
class DiskDiffersError extends Error {
  override name = 'DiskDiffersError'
}

/** The agent as a program for any Linux. Returns its exit code. */
export async function runCli(args: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    await createProgram(signal).parseAsync(args, { from: 'user' })
    return 0
  } catch (err) {
    if (err instanceof CommanderError) return err.exitCode === 0 ? 0 : EXIT_USAGE
    if (!(err instanceof DiskDiffersError))
      console.error(err instanceof Error ? err.message : String(err))
    return EXIT_FAILED
  }
}

function createProgram(signal: AbortSignal): Command {
  const program = new Command('stampede-agent')
    .description('Captures disks to a Stampede server and deploys images from it')
    .version(AGENT_VERSION)
    .exitOverride()
  program
    .command('inventory')
    .description('print what this machine is, as JSON; nothing is written or mounted')
    .action(async () => {
      console.log(JSON.stringify(await takeInventory(exec), undefined, 2))
    })
  withServer(program.command('capture'))
    .requiredOption('--image <name>', 'the name of the image', parseNewName)
    .description('save a disk as an image on the server')
    .option('--whole', 'all of it, with the free space of its file systems')
    .action((options: CaptureOptions) => capture(options, signal))
  withServer(program.command('deploy'))
    .requiredOption('--image <name>', 'the name of the image')
    .description('erase a disk and write an image to it')
    .option('--yes', 'do not ask before the disk is erased')
    .option('--no-verify', 'do not read back what was written')
    .option('--force', 'deploy although the image seems unable to boot here')
    .option(
      '--allow-shrink',
      'also to a smaller disk, if the partitions of the image end before it',
    )
    .option('--zero-unused', 'make free space of file systems zero')
    .action((options: DeployOptions) => deploy(options, signal))
  withServer(program.command('verify'))
    .description(
      'compare a disk with an image, without writing; exit code 0 if all is the same, else 1',
    )
    .addOption(new Option('--image <name>', 'the name of the image').conflicts('receipt'))
    .option('--receipt <file>', 'the receipt of a deployment, whose image the disk is to hold')
    .option('--json', 'print all that differs as JSON')
    .action((options: VerifyOptions, command: Command) => verify(options, command, signal))
  return program
}

function withServer(command: Command): Command {
  return command
    .requiredOption('--disk <path>', 'the disk, such as /dev/sda or /dev/disk/by-id/…')
    .requiredOption(
      '--server <url>',
      'the Stampede server, such as http://192.0.2.1:8080',
      parseServer,
    )
    .option('--token <token>', "an operator's token; better given as STAMPEDE_TOKEN")
}

function parseServer(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new InvalidArgumentError('It must be a URL such as http://192.0.2.1:8080.')
  return text
}

/** Before the disk is read, which may take an hour. */
function parseNewName(text: string): string {
  if (!new RegExp(IMAGE_NAME_PATTERN).test(text))
    throw new InvalidArgumentError(
      'A name has up to 128 of a–z, 0–9, ".", "_" and "-", and begins with a letter or a digit.',
    )
  return text
}

async function capture(options: CaptureOptions, signal: AbortSignal): Promise<void> {
  const source = `capture of ${options.disk} on ${hostname()}`
  const run = createRun('capture', { name: options.image }, await diskHint(options))
  run.options.wholeDisk = options.whole ?? false
  await perform(run, options, signal, {
    checkMachine,
    diskless: {},
    others: { 'read-image': (context) => readImageWith(context, { source }) },
  })
}

async function deploy(options: DeployOptions, signal: AbortSignal): Promise<void> {
  const image = await getImage(openHttp(options), options.image, signal)
  const run = createRun('deploy', image, await diskHint(options))
  run.options.force = options.force ?? false
  run.options.allowShrink = options.allowShrink ?? false
  run.options.zeroUnused = options.zeroUnused ?? false
  let diskBytes = 0
  const checkAndAsk = async (context: DisklessContext): Promise<Disk> => {
    const disk = await checkMachine(context)
    if (!options.yes) await confirmErase(disk, image, signal)
    diskBytes = disk.sizeBytes
    return disk
  }
  await perform(run, options, signal, {
    checkMachine: checkAndAsk,
    diskless: {},
    others: {
      'write-image': (context) => writeImageWith(context, { readBack: options.verify }),
    },
  })
  if (diskBytes > image.sizeBytes) console.error(tellUngrown(options.disk, diskBytes, image))
}

/** A netbooted machine grows its partitions after this; here nothing of the image is changed. */
function tellUngrown(disk: string, diskBytes: number, image: Image): string {
  return (
    `The last ${formatBytes(diskBytes - image.sizeBytes)} of ${disk} are not used: the image has ` +
    `${formatBytes(image.sizeBytes)}, and was written as it is. "sgdisk -e ${disk}" moves a backup GPT to the disk's end`
  )
}

async function verify(
  options: VerifyOptions,
  command: Command,
  signal: AbortSignal,
): Promise<void> {
  const { image, receipt } = options
  if (image === undefined && receipt === undefined)
    command.error('error: say what to compare with: --image <name> or --receipt <file>')
  const http = openHttp(options)
  const named =
    receipt === undefined
      ? { digest: parseSha256((await getImage(http, image!, signal)).digest) }
      : await readReceipt(receipt, http, signal, (text) => console.error(text))
  const disk = await readDiskAt(exec, options.disk)
  const report = await verifyDisk(disk, named, createChunkClient(http), signal)
  console.log(options.json ? JSON.stringify(report, undefined, 2) : tellReport(report))
  if (!report.matches) throw new DiskDiffersError('The disk differs from the image')
}

async function diskHint({ disk }: Pick<CommonOptions, 'disk'>): Promise<{ path: string }> {
  return { path: `/dev/${(await diskName(disk)).replaceAll('!', '/')}` }
}

function openHttp({ server, token }: Pick<CommonOptions, 'server' | 'token'>): HttpClient {
  return createHttpClient({
    serverUrl: server,
    token: token ?? process.env.STAMPEDE_TOKEN,
    maxOutageSeconds: MAX_OUTAGE_SECONDS,
    reach: createReachLog((line) => console.error(line)),
  })
}

async function getImage(http: HttpClient, name: string, signal: AbortSignal): Promise<Image> {
  const path = `/api/images/${encodeURIComponent(name)}`
  const { body } = await http.send({ method: 'GET', path, signal })
  const image: unknown = JSON.parse(body.toString())
  if (!Value.Check(ImageSchema, image))
    throw new TypeError(`The server's answer to ${path} is not understood`)
  return image
}

function createRun(
  workflow: 'capture' | 'deploy',
  image: NonNullable<AgentRun['image']>,
  disk: { path: string },
): AgentRun {
  return {
    id: 'command-line',
    attempt: 1,
    workflow,
    steps: ['check-machine', workflow === 'capture' ? 'read-image' : 'write-image'],
    machine: { mac: '00:00:00:00:00:00', locked: false },
    image,
    options: {
      disk,
      grow: false,
      after: 'reboot',
      zeroUnused: false,
      identity: 'keep',
      force: false,
    },
  }
}

async function perform(
  run: AgentRun,
  options: CommonOptions & Partial<Pick<DeployOptions, 'verify'>>,
  signal: AbortSignal,
  steps: Steps,
): Promise<void> {
  const line = createProgressLine(process.stderr, { isReadBack: options.verify ?? true })
  const result = await runSteps({
    run,
    inventory: await takeInventory(exec, { disks: [run.options.disk!.path!] }),
    chunks: createChunkClient(openHttp(options)),
    steps,
    reporter: line,
    signal,
    log: (text) => line.print(text),
  })
  if (result.state !== 'succeeded') throw new Error(result.error ?? 'It was stopped')
  console.log(JSON.stringify(result.receipt, undefined, 2))
}

async function confirmErase(disk: Disk, image: Image, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY)
    throw new Error(`Deploying erases ${describeDisk(disk)}; say --yes if that is what you want`)
  const input = createInterface({ input: process.stdin, output: process.stderr })
  const question = `Image "${image.name}" replaces everything on ${describeDisk(disk)}. Type "erase" to go on: `
  const answer = await input.question(question, { signal }).finally(() => input.close())
  if (answer.trim() !== 'erase') throw new Error('Nothing was written')
}
