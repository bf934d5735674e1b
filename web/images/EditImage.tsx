import { Text, TextInput, Textarea } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { keys } from '../api/keys.ts'
import { FormModal } from '../components/FormModal.tsx'
import { imageNameMistake } from './image-name.ts'
import { changeImage, type EditedImage } from './image-queries.ts'

interface EditImageProps {
  edited: EditedImage
  onClose: () => void
  onChanged: () => void
}

/** What another person saved meanwhile is never overwritten: the server refuses, and says so. */
export function EditImage({ edited: { image, etag }, onClose, onChanged }: EditImageProps) {
  const cache = useQueryClient()
  const navigate = useNavigate()
  const [name, setName] = useState(image.name)
  const [description, setDescription] = useState(image.description ?? '')
  const mistake = imageNameMistake(name)

  async function save(): Promise<void> {
    const text = description.trim()
    const saved = await changeImage(image.name, etag, {
      ...(name !== image.name && { name }),
      ...(text !== (image.description ?? '') && { description: text === '' ? null : text }),
    })
    await cache.invalidateQueries({ queryKey: keys.images })
    if (saved.name === image.name) onChanged()
    else await navigate(`/images/${saved.name}`, { replace: true })
  }

  return (
    <FormModal
      title="Edit the image"
      action="Save"
      isReady={mistake === undefined}
      onClose={onClose}
      onSubmit={save}
    >
      {(refusal) => (
        <>
          <TextInput
            label="Name"
            data-autofocus
            value={name}
            error={mistake ?? refusal?.code === 'image-exists'}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          {name !== image.name && image.usedBy.machines.length > 0 && (
            <Text size="sm" c="dimmed">
              The machines that it is assigned to follow the new name.
            </Text>
          )}
          <Textarea
            label="Description"
            autosize
            minRows={3}
            maxLength={2000}
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
        </>
      )}
    </FormModal>
  )
}
