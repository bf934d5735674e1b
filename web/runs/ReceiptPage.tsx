import { Button, Skeleton, Text, Title } from '@mantine/core'
import { IconDownload, IconPrinter } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useParams } from 'react-router'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { machineQuery } from '../machine/machine-queries.ts'
import { runQuery } from './run-queries.ts'
import { RunReceipt } from './RunReceipt.tsx'
import classes from './runs.module.css'

/** A receipt by itself, for paper or a PDF. */
export function ReceiptPage() {
  const { id = '' } = useParams()
  const { data: run, error } = useQuery(runQuery(id))
  const { data: machine } = useQuery({ ...machineQuery(run?.mac ?? ''), enabled: !!run })
  const name = machine?.name ?? run?.mac ?? ''
  return (
    <>
      <div className={classes.noPrint}>
        <PageTitle
          title={`Receipt${name && ` for ${name}`}`}
          back={{ to: `/runs/${id}`, label: 'The run' }}
          actions={
            <>
              {run?.receipt && (
                <Button
                  component="a"
                  variant="default"
                  href={`/api/runs/${id}/receipt`}
                  download={`receipt-${id}.json`}
                  leftSection={<IconDownload size={16} aria-hidden />}
                >
                  Download, signed
                </Button>
              )}
              <Button
                leftSection={<IconPrinter size={16} aria-hidden />}
                onClick={() => window.print()}
              >
                Print
              </Button>
            </>
          }
        />
      </div>
      <div className={classes.printOnly}>
        <Title order={1} size="h2" mb="md">
          Receipt for {name}
        </Title>
      </div>
      <ErrorAlert error={error} />
      {!run && !error && <Skeleton height={400} />}
      {run && !run.receipt && (
        <Text>This run has no receipt: no agent reported a result that proves anything.</Text>
      )}
      {run?.receipt && <RunReceipt run={run} receipt={run.receipt} machineName={name} />}
    </>
  )
}
