import { Checkbox, Group, Stack } from '@mantine/core'
import { IconLock } from '@tabler/icons-react'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useRef } from 'react'
import { Link } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { StateBadge } from '../components/StateBadge.tsx'
import { machinePath } from './MachineRow.tsx'
import classes from './machines.module.css'
import { BootDots, MachineStatus } from './MachineStatus.tsx'
import type { SelectionActions } from './use-selection.ts'

const CARD_PIXELS = 104
const OVERSCAN_CARDS = 8

interface MachineCardsProps {
  machines: Machine[]
  selection: SelectionActions
  isSelectable: boolean
}

/** The table where there is no room for one. */
export function MachineCards({ machines, selection, isSelectable }: MachineCardsProps) {
  const frame = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: machines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => CARD_PIXELS,
    overscan: OVERSCAN_CARDS,
    getItemKey: (index) => machines[index]!.mac,
  })
  return (
    <div ref={frame} className={classes.frame} tabIndex={0} role="region" aria-label="Machines">
      <ul
        style={{ height: virtual.getTotalSize(), position: 'relative', margin: 0, padding: 0 }}
        aria-label={`${machines.length} machines`}
      >
        {virtual.getVirtualItems().map(({ index, start }) => {
          const machine = machines[index]!
          return (
            <li
              key={machine.mac}
              className={classes.card}
              data-selected={selection.macs.has(machine.mac) || undefined}
              style={{
                position: 'absolute',
                insetInline: 0,
                height: CARD_PIXELS,
                transform: `translateY(${start}px)`,
              }}
            >
              {isSelectable && (
                <Checkbox
                  mt={2}
                  aria-label={`Select ${machine.name}`}
                  checked={selection.macs.has(machine.mac)}
                  onChange={() => selection.toggle(machine.mac)}
                />
              )}
              <CardText machine={machine} />
            </li>
          )
        })}
      </ul>
    </div>
  )
}

function CardText({ machine }: { machine: Machine }) {
  const { mac, name, product, image, state, lastSeenAt, locked } = machine
  return (
    <Stack gap={3} style={{ flex: 1, minWidth: 0 }}>
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <Group gap={4} wrap="nowrap" style={{ minWidth: 0 }}>
          <Link to={machinePath(mac)} className={classes.name}>
            {name}
          </Link>
          {locked && (
            <IconLock size={14} role="img" aria-label="Locked" style={{ flexShrink: 0 }} />
          )}
        </Group>
        <StateBadge state={state} />
      </Group>
      <div className={classes.line}>
        <span className={classes.mono}>{mac}</span>
        {product && ` · ${product}`}
      </div>
      <div className={classes.line}>
        {image ?? 'No image'} · seen <RelativeTime at={lastSeenAt} />
      </div>
      <div className={classes.pair}>
        <BootDots machine={machine} />
        <MachineStatus machine={machine} />
      </div>
    </Stack>
  )
}
