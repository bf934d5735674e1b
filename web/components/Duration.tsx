import { formatDuration } from './format.ts'

export function Duration({ seconds }: { seconds: number }) {
  return <span className="tabular">{formatDuration(seconds)}</span>
}
