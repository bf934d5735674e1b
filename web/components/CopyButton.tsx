import { ActionIcon, Button, Tooltip } from '@mantine/core'
import { IconAlertTriangle, IconCheck, IconCopy } from '@tabler/icons-react'
import { useEffect, useState } from 'react'
import { copyText } from './copy-text.ts'

const SHOWN_MILLISECONDS = 1500

interface CopyButtonProps {
  text: string
  /** What is copied: `the command`. */
  what: string
  /** With words, not only the icon. */
  withLabel?: boolean
}

export function CopyButton({ text, what, withLabel = false }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<'none' | 'copied' | 'refused'>('none')
  useEffect(() => {
    if (outcome === 'none') return
    const timer = setTimeout(() => setOutcome('none'), SHOWN_MILLISECONDS)
    return () => clearTimeout(timer)
  }, [outcome])

  const copy = async () => setOutcome((await copyText(text)) ? 'copied' : 'refused')
  const Icon = { none: IconCopy, copied: IconCheck, refused: IconAlertTriangle }[outcome]
  const label = { none: `Copy ${what}`, copied: 'Copied', refused: 'Select it and press Ctrl+C' }[
    outcome
  ]
  if (withLabel)
    return (
      <Button
        variant="default"
        size="xs"
        leftSection={<Icon size={14} aria-hidden />}
        onClick={() => void copy()}
        aria-label={outcome === 'none' ? label : undefined}
        miw={88}
      >
        {{ none: 'Copy', copied: 'Copied', refused: 'Press Ctrl+C' }[outcome]}
      </Button>
    )
  return (
    <Tooltip label={label} opened={outcome === 'none' ? undefined : true}>
      <ActionIcon
        variant="subtle"
        color={outcome === 'copied' ? 'teal' : 'gray'}
        aria-label={label}
        onClick={() => void copy()}
      >
        <Icon size={16} />
      </ActionIcon>
    </Tooltip>
  )
}
