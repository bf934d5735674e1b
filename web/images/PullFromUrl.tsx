import { Checkbox, PasswordInput, Text, TextInput } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { imagesQuery } from '../api/images.ts'
import { keys } from '../api/keys.ts'
import { FormModal } from '../components/FormModal.tsx'
import { imageNameFrom, imageNameMistake } from './image-name.ts'
import { startPull } from './version-queries.ts'

const SHA256 = /^[0-9a-f]{64}$/

/** Has the server fetch an image; the page may be left meanwhile. */
export function PullFromUrl({ onClose }: { onClose: () => void }) {
  const cache = useQueryClient()
  const { data: images = [] } = useQuery(imagesQuery)
  const [url, setUrl] = useState('')
  const [typedName, setTypedName] = useState<string>()
  const [sha256, setSha256] = useState('')
  const [authorization, setAuthorization] = useState('')
  const [promote, setPromote] = useState(true)
  const isUrl = /^https?:\/\/./.test(url.trim()) && URL.canParse(url.trim())
  const name = typedName ?? (isUrl ? nameFrom(url.trim()) : '')
  const isThere = images.some((image) => image.name === name)
  const digest = sha256.trim().toLowerCase()
  // As long as nothing can be said of the address, nothing is wrong with the name.
  const nameMistake = name === '' && !isUrl ? undefined : imageNameMistake(name)
  const isReady = isUrl && nameMistake === undefined && (digest === '' || SHA256.test(digest))

  async function start(): Promise<void> {
    await startPull(name, {
      url: url.trim(),
      ...(digest !== '' && { sha256: digest }),
      ...(authorization !== '' && { headers: { Authorization: authorization } }),
      ...(isThere && !promote && { promote }),
    })
    await cache.invalidateQueries({ queryKey: keys.images })
  }

  return (
    <FormModal
      title="Fetch an image from a URL"
      action="Fetch"
      isReady={isReady}
      onClose={onClose}
      onSubmit={start}
    >
      {(refusal) => (
        <>
          <TextInput
            label="URL"
            description="http or https: raw, qcow2, gzip, xz, zstd or bzip2"
            placeholder="https://mirror.example/debian-13.qcow2"
            data-autofocus
            value={url}
            error={
              url !== '' && !isUrl
                ? 'An address that begins with http:// or https://'
                : refusal?.code === 'refused-url'
            }
            onChange={(event) => setUrl(event.currentTarget.value)}
          />
          <TextInput
            label="Name of the image"
            value={name}
            error={nameMistake}
            onChange={(event) => setTypedName(event.currentTarget.value)}
          />
          {isThere && (
            <Checkbox
              label={`Let ${name} stand for it at once; it becomes its next version in any case`}
              checked={promote}
              onChange={(event) => setPromote(event.currentTarget.checked)}
            />
          )}
          <TextInput
            label="SHA-256 of the file"
            description="If it is known: nothing is made of another file"
            value={sha256}
            error={digest !== '' && !SHA256.test(digest) ? '64 hexadecimal digits' : undefined}
            onChange={(event) => setSha256(event.currentTarget.value)}
          />
          <PasswordInput
            label="Authorization header"
            description="If the other server asks for one; it is sent there and kept nowhere"
            autoComplete="off"
            value={authorization}
            onChange={(event) => setAuthorization(event.currentTarget.value)}
          />
          <Text size="sm" c="dimmed">
            The server fetches it by itself; this page may be closed.
          </Text>
        </>
      )}
    </FormModal>
  )
}

function nameFrom(url: string): string {
  return imageNameFrom(decodeURIComponentSafely(new URL(url).pathname.split('/').at(-1) ?? ''))
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
