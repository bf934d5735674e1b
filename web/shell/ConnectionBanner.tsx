import { Group, Loader, Paper, Text } from '@mantine/core'
import { useEffect, useState } from 'react'
import { useConnection } from '../live/connection.ts'
import classes from './ConnectionBanner.module.css'

/** A hiccup that is over at once is not worth a word. */
const PATIENCE_MILLISECONDS = 1000

/** Says that what is shown may be old, without moving it. */
export function ConnectionBanner() {
  const isDown = useConnection() === 'reconnecting'
  const [isShown, setShown] = useState(false)
  useEffect(() => {
    if (!isDown) {
      setShown(false)
      return
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MILLISECONDS)
    return () => clearTimeout(timer)
  }, [isDown])
  return (
    <div role="status" className={classes.place}>
      {isShown && (
        <Paper withBorder shadow="md" radius="xl" px="md" py={6} className={classes.banner}>
          <Group gap="xs" wrap="nowrap">
            <Loader size={14} color="currentColor" aria-hidden />
            <Text size="sm" fw={500}>
              Reconnecting… what you see may be out of date
            </Text>
          </Group>
        </Paper>
      )}
    </div>
  )
}
