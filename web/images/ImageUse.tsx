import { Anchor, Group, Stack, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Image } from '#protocol/image/image-info.ts'
import { countOf } from '../components/format.ts'
import { Section } from '../machine/Section.tsx'

const MOST_SHOWN = 24
const MOST_RUNS = 5

/** Machines that it is assigned to, and runs that have not ended. */
export function ImageUse({ image: { name, usedBy } }: { image: Image }) {
  const { machines, runs } = usedBy
  return (
    <Section title="Used by">
      <Stack gap="xs">
        {machines.length + runs.length === 0 && (
          <Text size="sm" c="dimmed">
            Nothing: no machine is assigned it, no run works with it.
          </Text>
        )}
        <Group gap="xs">
          {machines.slice(0, MOST_SHOWN).map((machine) => (
            <Anchor key={machine.mac} component={Link} to={`/machines/${machine.mac}`} size="sm">
              {machine.name}
            </Anchor>
          ))}
          {machines.length > MOST_SHOWN && (
            <Anchor component={Link} to={`/machines?image=${name}`} size="sm">
              and {machines.length - MOST_SHOWN} more
            </Anchor>
          )}
        </Group>
        {runs.slice(0, MOST_RUNS).map((run) => (
          <Anchor key={run} component={Link} to={`/runs/${run}`} size="sm">
            Run {run}
          </Anchor>
        ))}
        {runs.length > MOST_RUNS && (
          <Anchor component={Link} to={`/runs?image=${name}`} size="sm">
            and {countOf(runs.length - MOST_RUNS, 'run')} more
          </Anchor>
        )}
      </Stack>
    </Section>
  )
}
