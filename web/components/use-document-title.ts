import { useEffect } from 'react'

/** The page's name first: it is what a tab has room for. */
export function useDocumentTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Stampede`
  }, [title])
}
