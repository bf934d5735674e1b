import { Paper, Stack } from '@mantine/core'
import type { ReactNode } from 'react'

const PLAIN = { listStyle: 'none', margin: 0, padding: 0 }

/** What a table says, where there is no room for one. */
export function CardList({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Stack component="ul" gap="xs" style={PLAIN} aria-label={label}>
      {children}
    </Stack>
  )
}

export function Card({ children }: { children: ReactNode }) {
  return (
    <Paper component="li" withBorder p="sm">
      {children}
    </Paper>
  )
}
