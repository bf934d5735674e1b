import { Paper, Progress, SimpleGrid, Text } from '@mantine/core'
import { formatRate } from '../components/format.ts'
import type { FleetTotals } from './fleet-totals.ts'
import { shortEstimate } from './time-left.ts'
import classes from './runs.module.css'

/** What all runs of a fleet add up to. */
export function FleetTotalsRow({ totals, count }: { totals: FleetTotals; count: number }) {
  const { done, failed, cancelled, left, running, bytesPerSecond } = totals
  const part = (number: number) => (count === 0 ? 0 : (number / count) * 100)
  return (
    <Paper withBorder p="md" mb="md" component="section" aria-label="Totals">
      <SimpleGrid cols={{ base: 2, xs: 3, md: 6 }} mb="sm">
        <Figure name="Done" value={`${done} of ${count}`} />
        <Figure name="Failed" value={`${failed}`} isBad={failed > 0} />
        <Figure name="Cancelled" value={`${cancelled}`} />
        <Figure name="Left" value={`${left}`} note={`${running} at work`} />
        <Figure name="Rate of all" value={formatRate(bytesPerSecond)} />
        <Figure name="Slowest step" {...timeFigure(totals)} />
      </SimpleGrid>
      <Progress.Root size={10}>
        <Progress.Section value={part(done)} color="green" aria-label={`${done} done`} />
        <Progress.Section value={part(failed)} color="red" aria-label={`${failed} failed`} />
        <Progress.Section
          value={part(cancelled)}
          color="gray"
          aria-label={`${cancelled} cancelled`}
        />
      </Progress.Root>
    </Paper>
  )
}

/** Runs that have not begun tell no time, so the whole can take longer, and that is said. */
function timeFigure({ left, timeless, secondsLeft }: FleetTotals): {
  value: string
  note?: string
} {
  if (left === 0) return { value: 'all over' }
  if (secondsLeft === undefined) return { value: '–', note: 'no rate to tell it from' }
  const note = timeless > 0 ? `and ${timeless} that cannot tell` : 'left'
  return { value: shortEstimate(secondsLeft), note }
}

interface FigureProps {
  name: string
  value: string
  note?: string
  isBad?: boolean
}

function Figure({ name, value, note, isBad = false }: FigureProps) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text
        fw={700}
        size="lg"
        className={classes.figures}
        c={isBad ? 'var(--mantine-color-error)' : undefined}
      >
        {value}
      </Text>
      <Text size="xs" c="dimmed" mih="1.2em">
        {note}
      </Text>
    </div>
  )
}
