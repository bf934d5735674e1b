import { Tooltip } from '@mantine/core'
import { formatBytes } from './format.ts'

/** A size as people read it, the exact one on hover or focus. */
export function Bytes({ value }: { value: number }) {
  return (
    <Tooltip label={`${value.toLocaleString('en')} bytes`} events={EVERY_WAY}>
      <span className="tabular">{formatBytes(value)}</span>
    </Tooltip>
  )
}

const EVERY_WAY = { hover: true, focus: true, touch: true }
