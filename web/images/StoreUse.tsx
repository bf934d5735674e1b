import { useQuery } from '@tanstack/react-query'
import { Bytes } from '../components/Bytes.tsx'
import { storeQuery } from '../settings/store-queries.ts'

/** The page of the store has work to show, and asks more often. */
const REFRESH_MILLISECONDS = 15_000

/** What all images take together, what sharing chunks and compression save, and what quota and reserve leave. */
export function StoreUse() {
  const { data: store } = useQuery({ ...storeQuery, refetchInterval: REFRESH_MILLISECONDS })
  if (!store) return <>What machines can be given</>
  return (
    <>
      {store.images} {store.images === 1 ? 'image' : 'images'} stored in{' '}
      <Bytes value={store.storedBytes} />
      {store.savedBytes > 0 && (
        <>
          ; sharing chunks saves <Bytes value={store.savedBytes} />
        </>
      )}
      {store.availableBytes !== null && (
        <>
          ; <Bytes value={store.availableBytes} /> left
        </>
      )}
    </>
  )
}
