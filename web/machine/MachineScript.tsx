import { Button, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { CopyButton } from '../components/CopyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { scriptQuery } from './machine-queries.ts'
import { Section } from './Section.tsx'
import classes from './machine.module.css'

/** The exact iPXE script that the machine would get now, without its token. */
export function MachineScript({ mac }: { mac: string }) {
  const [isShown, setShown] = useState(false)
  const { data, error, refetch } = useQuery({ ...scriptQuery(mac), enabled: isShown })
  return (
    <Section
      title="Boot script"
      actions={
        <>
          {isShown && data !== undefined && <CopyButton text={data} what="the script" />}
          <Button
            size="xs"
            variant="default"
            aria-expanded={isShown}
            onClick={() => setShown(!isShown)}
          >
            {isShown ? 'Hide' : 'Show'}
          </Button>
        </>
      }
    >
      <Stack gap="xs">
        <Text size="sm" c="dimmed">
          What iPXE on this machine would be told if it asked now.
        </Text>
        {isShown && <ErrorAlert error={error} onRetry={() => void refetch()} />}
        {isShown && data === undefined && !error && <Skeleton height={120} />}
        {isShown && data !== undefined && (
          <pre className={classes.script} tabIndex={0} aria-label="Boot script">
            {data}
          </pre>
        )}
      </Stack>
    </Section>
  )
}
