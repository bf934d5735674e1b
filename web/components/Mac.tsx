import { Text } from '@mantine/core'

export function Mac({ mac }: { mac: string }) {
  return (
    <Text component="span" ff="monospace" fz="sm" style={{ whiteSpace: 'nowrap' }}>
      {mac}
    </Text>
  )
}
