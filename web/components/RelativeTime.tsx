import { Tooltip } from '@mantine/core'
import { useState } from 'react'
import { formatExact, formatRelative } from './format.ts'
import { useNow } from './use-now.ts'

interface RelativeTimeProps {
  at: string | null | undefined
  /** Where there is no time. */
  never?: string
}

/** `5 min ago`, kept up to date; the exact time in the viewer's zone on hover, focus and touch. */
export function RelativeTime({ at, never = 'never' }: RelativeTimeProps) {
  if (at === null || at === undefined) return <span>{never}</span>
  return <KnownTime at={at} />
}

function KnownTime({ at }: { at: string }) {
  const [isNear, setNear] = useState(false)
  const date = new Date(at)
  const text = useNow((now) => formatRelative(date, now))
  const time = (
    <time
      dateTime={at}
      className="tabular"
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
    >
      {text}
    </time>
  )
  // A tip costs more than all the rest of a row, so only the one that is looked at is there.
  return isNear ? (
    <Tooltip label={formatExact(date)} opened>
      {time}
    </Tooltip>
  ) : (
    time
  )
}
