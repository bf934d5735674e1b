import { Alert, Button, Code, Group, Modal, Stack, Text } from '@mantine/core'
import { IconKey } from '@tabler/icons-react'
import { CopyButton } from '../components/CopyButton.tsx'
import { useReturnFocus } from '../components/use-return-focus.ts'

interface SecretOnceProps {
  title: string
  secret: string
  /** What to do with it. */
  hint: string
  onClose: () => void
}

/** A secret that only this one time is shown: it does not close by a click beside it. */
export function SecretOnce({ title, secret, hint, onClose }: SecretOnceProps) {
  useReturnFocus()
  return (
    <Modal opened onClose={onClose} title={title} closeOnClickOutside={false}>
      <Stack>
        <Alert variant="light" color="yellow" icon={<IconKey />}>
          Copy it now: it is not shown again.
        </Alert>
        <Code block style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>
          {secret}
        </Code>
        <Text size="sm">{hint}</Text>
        <Group justify="flex-end">
          <CopyButton text={secret} what="the secret" withLabel />
          <Button onClick={onClose}>I have it</Button>
        </Group>
      </Stack>
    </Modal>
  )
}
