import { Checkbox, Group, Text } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import type { LogLine } from '#protocol/run/run.ts'
import { CopyButton } from '../components/CopyButton.tsx'
import classes from './runs.module.css'

export interface RunLogProps {
  lines: readonly LogLine[]
  /** The run goes on: more is to come. */
  isLive: boolean
}

/** What the agent logged. Follows the end until the reader scrolls away from it. */
export function RunLog({ lines, isLive }: RunLogProps) {
  const [isFollowing, setFollowing] = useState(true)
  const box = useRef<HTMLDivElement>(null)
  const lastOffset = lines.at(-1)?.offset

  useEffect(() => {
    if (isFollowing && box.current) box.current.scrollTop = box.current.scrollHeight
  }, [isFollowing, lastOffset])

  function onScroll(): void {
    if (!isLive || !box.current) return
    const { scrollTop, scrollHeight, clientHeight } = box.current
    setFollowing(scrollHeight - scrollTop - clientHeight < 24)
  }

  return (
    <section aria-label="Log of the agent">
      <Group justify="space-between" mb="xs">
        <Checkbox
          label="Follow"
          checked={isFollowing}
          onChange={(event) => setFollowing(event.currentTarget.checked)}
        />
        <CopyButton text={logText(lines)} what="the log" withLabel />
      </Group>
      {/* Focusable, so that the keyboard can scroll it. */}
      <div
        ref={box}
        className={classes.log}
        onScroll={onScroll}
        tabIndex={0}
        role="log"
        aria-label="Log lines"
        aria-live="off"
      >
        {lines.length === 0 && (
          <Text size="xs" c="dimmed">
            {isLive ? 'No line yet: the agent writes here as soon as it runs.' : 'No lines.'}
          </Text>
        )}
        {lines.map((line) => (
          <div key={line.offset} className={classes.logLine}>
            <span className={classes.logTime} title={line.at}>
              {new Date(line.at).toLocaleTimeString()}
            </span>
            <span>{line.text}</span>
          </div>
        ))}
      </div>
    </section>
  )
}

export function logText(lines: readonly LogLine[]): string {
  return lines.map(({ at, text }) => `${at} ${text}`).join('\n')
}
