import { Center, Group, Paper, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './EntryCard.module.css'

interface EntryCardProps {
  title: string
  subtitle: string
  children: ReactNode
}

/** What one sees before one is signed in. */
export function EntryCard({ title, subtitle, children }: EntryCardProps) {
  return (
    <Center component="main" className={classes.page} p="md">
      <Paper withBorder shadow="sm" p={{ base: 'lg', sm: 'xl' }} w="100%" maw={440}>
        <Stack>
          <Group gap="xs">
            <img src="/stampede.svg" alt="" width={28} height={28} />
            <Text fw={700} size="lg">
              Stampede
            </Text>
          </Group>
          <div>
            <Title order={1} size="h3">
              {title}
            </Title>
            <Text c="dimmed" size="sm">
              {subtitle}
            </Text>
          </div>
          {children}
        </Stack>
      </Paper>
    </Center>
  )
}
