import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { signedReceipt, type SignedReceipt } from '#protocol/run/receipt.ts'
import { ACTIVE_RUN_STATES, type Receipt, type RunDetail } from '#protocol/run/run.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { examples } from '../help.ts'
import { unwritable } from '../local-file.ts'
import { comparisonFacts } from '../receipts/comparison-facts.ts'
import { checkSignature, parseKey, readKeyFile, readReceiptFile } from '../receipts/verify.ts'
import { verdictOf } from '../text/run-text.ts'
import { formatFacts } from '../text/table.ts'
import { localTime, printable } from '../text/text.ts'

interface ReceiptOptions {
  verify?: boolean
  key?: string
  output?: string
}

/** What `runs` has to do with receipts. */
export function addReceipts(runs: Command, signal: AbortSignal): void {
  runs
    .command('receipt <run>')
    .description('What a finished run proves: image, disk, bytes written and verified')
    .option('--verify', 'check the signature with the key of the server')
    .option('--key <file>', 'check it with this key')
    .option('-o, --output <file>', 'save the signed receipt')
    .addHelpText(
      'after',
      examples(
        'stampede runs receipt 0197… --verify',
        'stampede runs receipt 0197… --output receipt.json',
      ),
    )
    .action(action<[string], ReceiptOptions>(signal, showReceipt))
  runs
    .command('verify-receipt <file>')
    .description('Check the signature of a saved receipt; with --key, no server is asked')
    .option('--key <file>', 'the public key: what http://SERVER/api/receipt-key answers, or PEM')
    .addHelpText(
      'after',
      examples('stampede runs verify-receipt receipt.json --key receipt-key.json'),
    )
    .action(action<[string], ReceiptOptions>(signal, verifyFile))
}

async function trustedKey(context: Context, { key }: ReceiptOptions) {
  if (key !== undefined) return await readKeyFile(key)
  const api = await context.api()
  return parseKey(JSON.stringify(await api.call('GET', '/api/receipt-key')))
}

async function showReceipt(context: Context, id: string, options: ReceiptOptions): Promise<void> {
  const api = await context.api()
  const run = await api.call<RunDetail>('GET', `/api/runs/${encodeURIComponent(id)}`)
  if (!run.receipt) {
    const state = ACTIVE_RUN_STATES.includes(run.state as never)
      ? 'is not over yet'
      : verdictOf(run)
    throw new CliError(EXIT.notFound, `Run ${id} has no receipt: it ${state}`)
  }
  const document = signedReceipt(run, run.receipt)
  const isChecked = options.verify === true || options.key !== undefined
  if (isChecked) checkSignature(document, await trustedKey(context, options))
  if (options.output !== undefined) {
    const { output } = options
    await writeFile(output, `${JSON.stringify(document, undefined, 2)}\n`).catch((err: unknown) => {
      throw unwritable(output, err)
    })
    context.say(`The signed receipt is in ${options.output}`)
  }
  context.show(run.receipt, () => receiptText(document, isChecked))
}

async function verifyFile(context: Context, path: string, options: ReceiptOptions): Promise<void> {
  const document = await readReceiptFile(path)
  checkSignature(document, await trustedKey(context, options))
  context.show(document, () => receiptText(document, true))
}

function receiptText({ run, receipt, signature }: SignedReceipt, isChecked: boolean): string {
  const { disk } = receipt
  const key = signature && `by key ${printable(signature.keyId)}`
  return formatFacts([
    ['Run', printable(`${run.id}, a ${run.workflow} of ${run.mac}, ${run.state}`)],
    ['Image', receipt.imageName && printable(receipt.imageName)],
    ['Digest', receipt.imageDigest && printable(receipt.imageDigest)],
    ['Disk', disk && printable([disk.path, disk.model].filter(Boolean).join(' '))],
    ['Serial', disk?.serial && printable(disk.serial)],
    ['WWN', disk?.wwn && printable(disk.wwn)],
    ['Disk size', bytesText(disk?.sizeBytes)],
    ...comparisonFacts(receipt.comparison),
    ['Read', bytesText(receipt.bytesRead)],
    ['Sent', bytesText(receipt.bytesSent)],
    ['Fetched', bytesText(receipt.bytesFetched)],
    ['Written', bytesText(receipt.bytesWritten)],
    ['Of it zeros', bytesText(receipt.bytesZeroed || undefined)],
    ['There already', bytesText(receipt.bytesSkipped)],
    ['Verified', bytesText(receipt.bytesVerified)],
    ['Unused', bytesText(receipt.bytesUnused)],
    ['Proven', provenText(receipt)],
    ['Agent', receipt.agentVersion && printable(receipt.agentVersion)],
    ['Started', localTime(receipt.startedAt)],
    ['Finished', localTime(receipt.finishedAt)],
    ['Signed', key && `${key}${isChecked ? ': the signature is right' : ', not checked here'}`],
    ...receipt.warnings.map((text): [string, string] => ['Warning', printable(text)]),
  ])
}

function bytesText(count: number | undefined): string | undefined {
  return count === undefined ? undefined : `${formatBytes(count)} (${count} bytes)`
}

function provenText(receipt: Omit<Receipt, 'signature'>): string | undefined {
  if (!receipt.imageVerified)
    return receipt.delivered
      ? 'delivered whole, not verified: nobody read the disk again'
      : undefined
  const written = 'every byte was hashed before its write and read back after it'
  return receipt.bytesSkipped ? `${written}, or was read and found right without a write` : written
}
