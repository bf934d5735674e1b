import { ActionIcon, Kbd, TextInput } from '@mantine/core'
import { useDebouncedCallback, useHotkeys } from '@mantine/hooks'
import { IconSearch, IconX } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'

/** Between the last key and the search. */
const PAUSE_MILLISECONDS = 120

interface SearchFieldProps {
  q: string
  onSearch: (q: string) => void
}

/** Holds its own text: the address, where the search is kept, is too slow for somebody who types. */
export function SearchField({ q, onSearch }: SearchFieldProps) {
  const [text, setText] = useState(q)
  const input = useRef<HTMLInputElement>(null)
  const sent = useRef(q)
  useHotkeys([['/', () => input.current?.focus()]])
  // From elsewhere: a link, the browser's "back", or "Show all".
  useEffect(() => {
    if (q === sent.current) return
    sent.current = q
    setText(q)
  }, [q])
  const send = useDebouncedCallback((next: string) => {
    sent.current = next
    onSearch(next)
  }, PAUSE_MILLISECONDS)

  function change(next: string): void {
    setText(next)
    send(next)
  }

  return (
    <TextInput
      ref={input}
      role="searchbox"
      aria-label="Search machines"
      placeholder="Name, MAC, serial, model, tag…"
      value={text}
      onChange={(event) => change(event.currentTarget.value)}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={
        text ? (
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Clear the search"
            onClick={() => change('')}
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
