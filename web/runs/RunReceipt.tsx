import { Alert, List, Stack, Text } from '@mantine/core'
import { IconAlertTriangle, IconShieldCheck, IconTruckDelivery } from '@tabler/icons-react'
import type { Receipt, Run } from '#protocol/run/run.ts'
import { formatBytes, formatDuration, formatExact } from '../components/format.ts'
import { WORKFLOW_WORDS } from './run-words.ts'
import { ComparisonFacts } from './ComparisonFacts.tsx'
import { Fact } from './ReceiptFact.tsx'
import { secondsBetween } from './time-left.ts'
import classes from './runs.module.css'

export interface RunReceiptProps {
  run: Run
  receipt: Receipt
  machineName: string
}

/** What the run proves, in a form that can be printed and put into the folder of the machine. */
export function RunReceipt({ run, receipt, machineName }: RunReceiptProps) {
  return (
    <Stack className={classes.receipt}>
      <Verdict run={run} receipt={receipt} />
      <dl>
        <Fact name="Machine">
          {machineName} <span className={classes.figures}>({run.mac})</span>
        </Fact>
        <Fact name="Workflow">{WORKFLOW_WORDS[run.workflow]}</Fact>
        <Fact name="Run">{run.id}</Fact>
        <Fact name="Image">{receipt.imageName ?? run.image}</Fact>
        <Fact name="Image digest">{receipt.imageDigest && `sha256:${receipt.imageDigest}`}</Fact>
        <Fact name="Disk">{receipt.disk && diskText(receipt.disk)}</Fact>
        <Fact name="Disk serial">{receipt.disk?.serial}</Fact>
        <Fact name="Disk WWN">{receipt.disk?.wwn}</Fact>
        {receipt.comparison && <ComparisonFacts comparison={receipt.comparison} />}
        <Bytes name="Written" bytes={receipt.bytesWritten} />
        <Bytes name="Zeros among them" bytes={receipt.bytesZeroed || undefined} />
        <Bytes name="On the disk already" bytes={receipt.bytesSkipped} />
        <Bytes name="Read back and right" bytes={receipt.bytesVerified} />
        <Bytes name="Free space left out" bytes={receipt.bytesUnused} />
        <Bytes
          name={run.workflow === 'capture' ? 'Read from the disk' : 'Received from the store'}
          bytes={receipt.bytesRead}
        />
        <Bytes name="Fetched over the network" bytes={receipt.bytesFetched} />
        <Bytes name="Sent to the store" bytes={receipt.bytesSent} />
        <Fact name="Started">{formatExact(new Date(receipt.startedAt))}</Fact>
        <Fact name="Finished">{formatExact(new Date(receipt.finishedAt))}</Fact>
        <Fact name="Took">
          {formatDuration(secondsBetween(receipt.startedAt, receipt.finishedAt) ?? 0)}
        </Fact>
        <Fact name="Phases">{receipt.durations && phasesText(receipt.durations)}</Fact>
        <Fact name="Attempts">{run.attempts}</Fact>
        <Fact name="Agent">{receipt.agentVersion}</Fact>
        <Fact name="Signed">
          {receipt.signature
            ? `by this server, with key ${receipt.signature.keyId} (Ed25519)`
            : 'no: the run ended before this server signed receipts'}
        </Fact>
      </dl>
      {receipt.warnings.length > 0 && (
        <div>
          <Text fw={600}>Warnings</Text>
          <List size="sm">
            {receipt.warnings.map((warning) => (
              <List.Item key={warning}>{warning}</List.Item>
            ))}
          </List>
        </div>
      )}
    </Stack>
  )
}

function Verdict({ run, receipt }: { run: Run; receipt: Receipt }) {
  if (receipt.delivered && !receipt.imageVerified) {
    return (
      <Alert color="yellow" icon={<IconTruckDelivery />} title="Delivered, not verified">
        The image went out whole to a client that reports nothing back (BOOTy). Nobody read the disk
        again: look at the machine before you rely on it.
      </Alert>
    )
  }
  if (run.workflow === 'deploy' && receipt.imageVerified) {
    return (
      <Alert
        color={run.state === 'succeeded' ? 'green' : 'yellow'}
        icon={<IconShieldCheck />}
        title="Image verified"
      >
        Every byte was checked against its hash before it was written, and read back from the disk
        after it.
        {!!receipt.bytesSkipped &&
          ' What the disk held already was read from it and found right, and not written again.'}
        {run.state !== 'succeeded' &&
          ' A later step failed, so the disk boots the image as it was captured.'}
      </Alert>
    )
  }
  if (receipt.comparison && !receipt.comparison.matches) {
    const { chunksDiffering, chunksCompared } = receipt.comparison
    return (
      <Alert color="yellow" icon={<IconAlertTriangle />} title="Differs from the image">
        {chunksDiffering.toLocaleString('en')} of {chunksCompared.toLocaleString('en')} MiB differ.
        Nothing was written to the disk.
      </Alert>
    )
  }
  if (run.state === 'succeeded') {
    return (
      <Alert
        color="green"
        icon={<IconShieldCheck />}
        title={receipt.comparison ? 'Same as the image' : `${WORKFLOW_WORDS[run.workflow]} done`}
      >
        {run.workflow === 'capture'
          ? 'The disk was read and stored; nothing was written to it.'
          : receipt.comparison
            ? `The disk holds the image: ${receipt.comparison.chunksCompared.toLocaleString('en')} MiB were compared, and nothing was written.`
            : 'All steps of the run were done.'}
      </Alert>
    )
  }
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title="Not verified">
      The run did not come to its end; this receipt proves no more than the figures below.
    </Alert>
  )
}

function Bytes({ name, bytes }: { name: string; bytes: number | undefined }) {
  if (bytes === undefined) return null
  return (
    <Fact name={name}>
      {formatBytes(bytes)} ({bytes.toLocaleString('en')} bytes)
    </Fact>
  )
}

function phasesText({
  compareSeconds,
  writeSeconds,
  readBackSeconds,
}: NonNullable<Receipt['durations']>): string {
  const phases: [string, number | undefined][] = [
    ['comparing', compareSeconds],
    ['writing', writeSeconds],
    ['the rest of reading back', readBackSeconds],
  ]
  return phases
    .filter((phase): phase is [string, number] => phase[1] !== undefined)
    .map(([name, seconds]) => `${name} ${formatDuration(seconds)}`)
    .join(', ')
}

function diskText({ path, model, sizeBytes }: NonNullable<Receipt['disk']>): string {
  return [path, model, formatBytes(sizeBytes)].filter(Boolean).join(', ')
}
