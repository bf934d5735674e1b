import { Center, Loader } from '@mantine/core'

/** While the code of the first page comes. */
export function Loading() {
  return (
    <Center h="100vh">
      <Loader role="img" aria-label="Loading" />
    </Center>
  )
}
