import { Kbd, TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { useRef, useState, type FormEvent } from 'react'
import { useNavigate } from 'react-router'
import { useSlash } from '../components/use-slash.ts'

/** From any page to the machines that match. */
export function MachineSearch() {
  const [text, setText] = useState('')
  const input = useRef<HTMLInputElement>(null)
  const navigate = useNavigate()
  useSlash(() => input.current?.focus())

  function search(event: FormEvent): void {
    event.preventDefault()
    void navigate(`/machines?${new URLSearchParams({ q: text.trim() })}`)
    setText('')
  }

  return (
    <form role="search" onSubmit={search} style={{ flex: 1, maxWidth: 420 }}>
      <TextInput
        ref={input}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        visibleFrom="sm"
        placeholder="Find a machine"
        aria-label="Find a machine"
        leftSection={<IconSearch size={16} aria-hidden />}
        rightSection={<Kbd size="xs">/</Kbd>}
      />
    </form>
  )
}
