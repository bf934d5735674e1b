import { useMutation, useQueryClient } from '@tanstack/react-query'
import { keys } from '../api/keys.ts'
import { showDone, showError } from '../components/show.ts'

/** A change that the store's figures tell of. */
export function useCare<Given, Result>(
  care: (given: Given) => Promise<Result>,
  done?: (result: Result) => string,
) {
  const cache = useQueryClient()
  return useMutation({
    mutationFn: care,
    onSuccess: (result) => done && showDone(done(result)),
    onError: (error) => showError(error),
    onSettled: () => cache.invalidateQueries({ queryKey: keys.store }),
  })
}
