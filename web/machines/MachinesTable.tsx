import { Checkbox } from '@mantine/core'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useRef, useState } from 'react'
import { useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { MachineRow, machinePath, rowId } from './MachineRow.tsx'
import classes from './machines.module.css'
import type { SelectionActions } from './use-selection.ts'
import type { MachinesView, SortKey } from './machines-view.ts'
import { SortButton } from './SortButton.tsx'
import { onTableKey } from './use-table-keys.ts'

const ROW_PIXELS = 56
const HEAD_PIXELS = 40
/** Rows beyond the edge, so that quick scrolling shows none that are empty. */
const OVERSCAN_ROWS = 12

interface MachinesTableProps {
  machines: Machine[]
  selection: SelectionActions
  /** Whether somebody may change something: else there is nothing to select for. */
  isSelectable: boolean
  view: MachinesView
  onSort: (sort: { sort: SortKey; descending: boolean }) => void
}

/** Only the rows that can be seen are there, so two thousand are as quick as twenty. */
export function MachinesTable(props: MachinesTableProps) {
  const { machines, selection, isSelectable, view, onSort } = props
  const frame = useRef<HTMLDivElement>(null)
  const [active, setActive] = useState(-1)
  const navigate = useNavigate()
  const virtual = useVirtualizer({
    count: machines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PIXELS,
    overscan: OVERSCAN_ROWS,
    scrollPaddingStart: HEAD_PIXELS,
    getItemKey: (index) => machines[index]!.mac,
  })
  useEffect(() => setActive((row) => Math.min(row, machines.length - 1)), [machines.length])

  const items = virtual.getVirtualItems()
  const above = items[0]?.start ?? 0
  const below = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)
  const macAt = (row: number) => machines[row]!.mac
  const isActiveThere = items.some(({ index }) => index === active)
  const areAll = machines.length > 0 && machines.every(({ mac }) => selection.macs.has(mac))

  function move(row: number, extend: boolean): void {
    setActive(row)
    virtual.scrollToIndex(row)
    if (extend && isSelectable) selection.extend(macAt(row))
  }

  return (
    <div ref={frame} className={classes.frame}>
      <table
        role="grid"
        className={classes.table}
        aria-label="Machines"
        aria-rowcount={machines.length + 1}
        aria-multiselectable={isSelectable}
        aria-activedescendant={isActiveThere ? rowId(macAt(active)) : undefined}
        tabIndex={0}
        onFocus={() => setActive((row) => (row < 0 && machines.length > 0 ? 0 : row))}
        onKeyDown={(event) =>
          onTableKey(event, {
            active,
            count: machines.length,
            pageRows: Math.max(1, Math.floor((frame.current?.clientHeight ?? 0) / ROW_PIXELS) - 2),
            setActive: move,
            toggle: (row) => isSelectable && selection.toggle(macAt(row)),
            open: (row) => void navigate(machinePath(macAt(row))),
            toggleAll: () => isSelectable && selection.toggleAll(),
            clear: selection.clear,
          })
        }
      >
        <thead>
          <tr aria-rowindex={1}>
            <th className={classes.check} scope="col">
              {isSelectable && (
                <Checkbox
                  size="xs"
                  aria-label={areAll ? 'Select none' : `Select all ${machines.length} shown`}
                  checked={areAll}
                  indeterminate={!areAll && selection.macs.size > 0}
                  onChange={selection.toggleAll}
                />
              )}
              {!isSelectable && <span className={classes.hidden}>Selection</span>}
            </th>
            <Header className={classes.who} columns={['name', 'mac']} {...{ view, onSort }} />
            <Header columns={['product', 'serial']} {...{ view, onSort }} />
            <Header className={classes.state} columns={['state']} {...{ view, onSort }} />
            <Header className={classes.image} columns={['image']} {...{ view, onSort }} />
            <th className={classes.tags} scope="col">
              Tags
            </th>
            <Header className={classes.seen} columns={['lastSeenAt']} {...{ view, onSort }} />
          </tr>
        </thead>
        <tbody>
          <Spacer height={above} />
          {items.map(({ index }) => {
            const machine = machines[index]!
            return (
              <MachineRow
                key={machine.mac}
                machine={machine}
                row={index}
                isSelectable={isSelectable}
                isSelected={selection.macs.has(machine.mac)}
                isActive={index === active}
                onToggle={selection.toggle}
                onExtend={selection.extend}
              />
            )
          })}
          <Spacer height={below} />
        </tbody>
      </table>
    </div>
  )
}

/** Stands for the rows that are not there. */
function Spacer({ height }: { height: number }) {
  return height > 0 ? (
    <tr className={classes.spacer} aria-hidden>
      <td style={{ height }} />
    </tr>
  ) : null
}

interface HeaderProps {
  columns: SortKey[]
  view: MachinesView
  onSort: MachinesTableProps['onSort']
  className?: string | undefined
}

function Header({ columns, view, onSort, className }: HeaderProps) {
  const sorted = columns.includes(view.sort)
  const direction = view.descending ? 'descending' : 'ascending'
  return (
    <th className={className} scope="col" aria-sort={sorted ? direction : undefined}>
      {columns.map((column) => (
        <SortButton key={column} column={column} view={view} onSort={onSort} />
      ))}
    </th>
  )
}
