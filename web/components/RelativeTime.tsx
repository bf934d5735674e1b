import { Tooltip } from '@mantine/core'
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
  const date = new Date(at)
  const text = useNow((now) => formatRelative(date, now))
  return (
    <Tooltip label={formatExact(date)} events={EVERY_WAY}>
      <time dateTime={at} className="tabular">
        {text}
      </time>
    </Tooltip>
  )
}

const EVERY_WAY = { hover: true, focus: true, touch: true }
