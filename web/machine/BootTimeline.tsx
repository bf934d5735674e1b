import { List, Text } from '@mantine/core'
import {
  IconCircle,
  IconCircleCheckFilled,
  IconCircleDashed,
  IconCircleMinus,
} from '@tabler/icons-react'
import { awaitedStage, type BootProgress } from '#protocol/machine/boot-progress.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { serverNow } from '../api/server-clock.ts'
import { formatDuration } from '../components/format.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { useNow } from '../components/use-now.ts'
import { bootRows, type BootRow } from './boot-rows.ts'
import classes from './machine.module.css'

const ICONS: Record<BootRow['state'], { icon: typeof IconCircle; word: string; color?: string }> = {
  came: {
    icon: IconCircleCheckFilled,
    word: 'came',
    color: 'light-dark(var(--mantine-color-green-8), var(--mantine-color-green-5))',
  },
  awaited: { icon: IconCircleDashed, word: 'awaited' },
  ahead: { icon: IconCircle, word: 'not yet', color: 'var(--mantine-color-dimmed)' },
  'left-out': { icon: IconCircleMinus, word: 'left out', color: 'var(--mantine-color-dimmed)' },
}

/** The stages of the newest boot with their times; of the one that is due, what to check. */
export function BootTimeline({ machine }: { machine: Machine | undefined }) {
  const boot: BootProgress | undefined = machine?.boot
  if (!boot || boot.stages.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        No boot from the network was seen yet. Switch the machine on, or restart it, with its
        network card first in the boot order.
      </Text>
    )
  }
  return (
    <ol className={classes.stages} aria-label="Stages of the boot">
      {bootRows(boot).map((row) => (
        <li key={row.stage} data-state={row.state}>
          <StageIcon row={row} />
          <div>
            <Text size="sm" fw={row.state === 'ahead' ? 400 : 600}>
              {row.title}
            </Text>
            {row.detail !== undefined && (
              <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                {row.detail}
              </Text>
            )}
            {row.state === 'awaited' && <Awaited boot={boot} />}
          </div>
          <Text size="xs" c="dimmed" ta="right">
            {row.at !== undefined && <RelativeTime at={row.at} />}
            {row.afterSeconds !== undefined && row.afterSeconds > 0 && (
              <> (+{formatDuration(row.afterSeconds)})</>
            )}
          </Text>
        </li>
      ))}
    </ol>
  )
}

function StageIcon({ row }: { row: BootRow }) {
  const { icon: Icon, word, color } = ICONS[row.state]
  return <Icon size={20} color={color ?? 'currentColor'} role="img" aria-label={word} />
}

/** Since when the stage is due; once it is late, what keeps it from coming. */
function Awaited({ boot }: { boot: BootProgress }) {
  const isLate = useNow((now) => (awaitedStage(boot, now)?.isLate ? 1 : 0)) === 1
  const awaited = awaitedStage(boot, serverNow())
  if (!awaited) return null
  return (
    <>
      <Text size="xs" c="dimmed">
        waited for since <RelativeTime at={awaited.since} />
      </Text>
      {isLate && (
        <>
          <Text size="sm" mt={4}>
            It should have come by now. Check that
          </Text>
          <List size="sm">
            {awaited.checks.map((check) => (
              <List.Item key={check}>{check}</List.Item>
            ))}
          </List>
        </>
      )}
    </>
  )
}
