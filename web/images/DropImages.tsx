import { Dropzone } from '@mantine/dropzone'
import { Center, Text } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import type { ReactNode } from 'react'

interface DropImagesProps {
  isActive: boolean
  onDrop: (files: readonly File[]) => void
  children: ReactNode
}

/** The whole page takes files that are dragged in. */
export function DropImages({ isActive, onDrop, children }: DropImagesProps) {
  return (
    <>
      {children}
      <Dropzone.FullScreen
        active={isActive}
        activateOnKeyboard={false} // nothing is seen of it, and there is a button
        onDrop={onDrop}
        withinPortal={false} // else its input is outside of the page's landmarks
      >
        <Center mih={240}>
          <div>
            <Center>
              <IconUpload size={48} stroke={1.4} aria-hidden />
            </Center>
            <Text size="lg" mt="sm">
              Drop disk images to upload them
            </Text>
          </div>
        </Center>
      </Dropzone.FullScreen>
    </>
  )
}
