import { ActionIcon, Kbd, TextInput } from '@mantine/core'
import { IconSearch, IconX } from '@tabler/icons-react'
import { useRef } from 'react'
import { useSlash } from '../components/use-slash.ts'
import { useTyped } from '../components/use-typed.ts'

interface SearchFieldProps {
  q: string
  onSearch: (q: string) => void
}

export function SearchField({ q, onSearch }: SearchFieldProps) {
  const [text, type] = useTyped(q, onSearch)
  const input = useRef<HTMLInputElement>(null)
  useSlash(() => input.current?.focus())
  return (
    <TextInput
      ref={input}
      role="searchbox"
      aria-label="Search machines"
      placeholder="Name, MAC, serial, model, tag…"
      value={text}
      onChange={(event) => type(event.currentTarget.value)}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={
        text ? (
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Clear the search"
            onClick={() => type('')}
          >
            <IconX size={14} />
          </ActionIcon>
        ) : (
          <Kbd size="xs">/</Kbd>
        )
      }
      style={{ flex: '2 1 200px' }}
    />
  )
}
