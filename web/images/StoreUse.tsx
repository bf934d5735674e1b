import { useQuery } from '@tanstack/react-query'
import { Bytes } from '../components/Bytes.tsx'
import { systemQuery } from '../settings/settings-queries.ts'

/** What all images take together, and what sharing chunks and compression save. */
export function StoreUse() {
  const { data } = useQuery(systemQuery)
  if (!data) return <>What machines can be given</>
  const { store } = data
  return (
    <>
      {store.images} {store.images === 1 ? 'image' : 'images'} stored in{' '}
      <Bytes value={store.storedBytes} />
      {store.savedBytes > 0 && (
        <>
          ; sharing chunks saves <Bytes value={store.savedBytes} />
        </>
      )}
      {store.freeBytes !== null && (
        <>
          ; <Bytes value={store.freeBytes} /> free
        </>
      )}
    </>
  )
}
