import { Anchor, Group, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { useDocumentTitle } from './use-document-title.ts'

interface PageTitleProps {
  title: string
  /** Beside the title: a badge of state. */
  aside?: ReactNode
  /** A line below it. */
  subtitle?: ReactNode
  /** Where one came from. */
  back?: { to: string; label: string }
  /** Buttons, at the right. */
  actions?: ReactNode
}

/** The head of every page; also names the tab. */
export function PageTitle({ title, aside, subtitle, back, actions }: PageTitleProps) {
  useDocumentTitle(title)
  return (
    <Stack gap={4} mb="md">
      {back && (
        <Anchor component={Link} to={back.to} size="sm" w="fit-content">
          ← {back.label}
        </Anchor>
      )}
      <Group justify="space-between" gap="sm">
        <Group gap="sm" style={{ minWidth: 0 }}>
          <Title order={1} size="h2" style={{ overflowWrap: 'anywhere' }}>
            {title}
          </Title>
          {aside}
        </Group>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {subtitle && (
        <Text c="dimmed" size="sm" component="div" style={{ overflowWrap: 'anywhere' }}>
          {subtitle}
        </Text>
      )}
    </Stack>
  )
}
