import { FileButton, Button, Group, Text, TextInput, Textarea } from '@mantine/core'
import { IconFile } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { imagesQuery } from '../api/images.ts'
import { FormModal } from '../components/FormModal.tsx'
import { formatBytes } from '../components/format.ts'
import { imageNameFrom, imageNameMistake } from './image-name.ts'
import { startUpload } from './upload-store.ts'

interface NewUploadProps {
  /** What was dropped; empty: to be chosen. */
  files: readonly File[]
  onClose: () => void
}

/** Names what is uploaded; the upload itself goes on after this is closed. */
export function NewUpload({ files: dropped, onClose }: NewUploadProps) {
  const { data: images = [] } = useQuery(imagesQuery)
  const [files, setFiles] = useState<readonly File[]>(dropped)
  const [names, setNames] = useState<readonly string[]>(() => namesOf(dropped))
  const [description, setDescription] = useState('')
  const present = new Set(images.map(({ name }) => name))
  const isDouble = new Set(names).size < names.length
  const mistakes = names.map((name, index) => {
    if (files[index]!.size === 0) return 'The file is empty: there is no disk in it'
    return isDouble && names.indexOf(name) !== names.lastIndexOf(name)
      ? 'Two files cannot become one image'
      : imageNameMistake(name)
  })

  function choose(chosen: readonly File[]): void {
    setFiles(chosen)
    setNames(namesOf(chosen))
  }

  async function start(): Promise<void> {
    files.forEach((file, index) =>
      startUpload(file, {
        name: names[index]!,
        fileName: file.name,
        sizeBytes: file.size,
        ...(description.trim() !== '' && { description: description.trim() }),
      }),
    )
  }

  return (
    <FormModal
      title={files.length > 1 ? `Upload ${files.length} images` : 'Upload an image'}
      action="Upload"
      isReady={files.length > 0 && mistakes.every((mistake) => mistake === undefined)}
      onClose={onClose}
      onSubmit={start}
    >
      <Group>
        <FileButton multiple onChange={choose}>
          {(props) => (
            <Button
              {...props}
              variant="default"
              leftSection={<IconFile size={16} aria-hidden />}
              data-autofocus
            >
              Choose files
            </Button>
          )}
        </FileButton>
        <Text size="sm" c="dimmed">
          raw, qcow2, gzip, xz, zstd or bzip2
        </Text>
      </Group>
      {files.map((file, index) => (
        <TextInput
          key={`${file.name} ${file.size}`}
          label={`Name of ${file.name} (${formatBytes(file.size)})`}
          description={
            present.has(names[index]!)
              ? 'There is an image of this name: this becomes its next version, which it stands for when the upload is complete'
              : undefined
          }
          inputWrapperOrder={['label', 'input', 'description', 'error']}
          value={names[index]}
          error={mistakes[index]}
          onChange={({ currentTarget: { value } }) => setNames(names.with(index, value))}
        />
      ))}
      {files.length > 0 && (
        <Textarea
          label="Description"
          placeholder="What is in it, and for whom"
          autosize
          minRows={2}
          maxLength={2000}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
      )}
    </FormModal>
  )
}

function namesOf(files: readonly File[]): string[] {
  return files.map(({ name }) => imageNameFrom(name))
}
