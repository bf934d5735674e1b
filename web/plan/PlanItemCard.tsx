import {
  Alert,
  Anchor,
  Badge,
  Button,
  Collapse,
  Group,
  List,
  Paper,
  Stack,
  Text,
} from '@mantine/core'
import {
  IconAlertTriangle,
  IconBan,
  IconCheck,
  IconChevronDown,
  IconChevronRight,
} from '@tabler/icons-react'
import { useId, useState } from 'react'
import { Link } from 'react-router'
import type { Plan, PlanItem } from '#protocol/plan.ts'
import { formatBytes } from '../components/format.ts'
import { Mac } from '../components/Mac.tsx'
import { canStart } from './plan-items.ts'
import { PlanDisks } from './PlanDisks.tsx'

interface PlanItemCardProps {
  item: PlanItem
  plan: Plan
  /** Whether all is shown at first. */
  isOpen: boolean
}

/** What would happen to one machine. */
export function PlanItemCard({ item, plan, isOpen }: PlanItemCardProps) {
  const [isShown, setShown] = useState(isOpen)
  const id = useId()
  const Chevron = isShown ? IconChevronDown : IconChevronRight
  return (
    <Paper withBorder p="md" component="section" aria-label={item.name}>
      <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
        <div style={{ minWidth: 0 }}>
          <Group gap="xs">
            <Anchor component={Link} to={`/machines/${item.mac}`} fw={600}>
              {item.name}
            </Anchor>
            <Mac mac={item.mac} />
            <Verdict item={item} />
          </Group>
          <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
            {targetText(item)}
          </Text>
        </div>
        <Button
          variant="subtle"
          size="compact-sm"
          aria-expanded={isShown}
          aria-controls={id}
          onClick={() => setShown(!isShown)}
          rightSection={<Chevron size={16} aria-hidden />}
          style={{ flexShrink: 0 }}
        >
          {isShown ? 'Less' : 'More'}
        </Button>
      </Group>
      <Findings item={item} />
      <Collapse expanded={isShown} id={id} transitionDuration={0}>
        {isShown && (
          <Stack gap="sm" mt="sm">
            <Losses item={item} />
            <PlanDisks item={item} plan={plan} />
          </Stack>
        )}
      </Collapse>
    </Paper>
  )
}

function Verdict({ item }: { item: PlanItem }) {
  if (!canStart(item))
    return (
      <Badge color="red" variant="light" tt="none" leftSection={<IconBan size={13} aria-hidden />}>
        Left out
      </Badge>
    )
  if (item.warnings.length > 0)
    return (
      <Badge
        color="yellow"
        variant="light"
        tt="none"
        leftSection={<IconAlertTriangle size={13} aria-hidden />}
      >
        With warnings
      </Badge>
    )
  return (
    <Badge
      color="green"
      variant="light"
      tt="none"
      leftSection={<IconCheck size={13} aria-hidden />}
    >
      Ready
    </Badge>
  )
}

/** The disk by what is printed on it. */
function targetText({ target }: PlanItem): string {
  if (!target) return 'No disk of it can be named'
  const { model, serial, path, sizeBytes } = target
  return [
    `Disk ${model ?? path}`,
    serial === undefined ? 'without a serial' : `serial ${serial}`,
    formatBytes(sizeBytes),
    ...(model === undefined ? [] : [path]),
  ].join(', ')
}

function Findings({ item: { problems, warnings } }: { item: PlanItem }) {
  if (problems.length + warnings.length === 0) return null
  return (
    <Stack gap="xs" mt="sm">
      {problems.map(({ code, message }) => (
        <Alert key={code} color="red" icon={<IconBan />} p="xs">
          {message}
        </Alert>
      ))}
      {warnings.map(({ code, message }) => (
        <Alert key={code} color="yellow" icon={<IconAlertTriangle />} p="xs">
          {message}
        </Alert>
      ))}
    </Stack>
  )
}

function Losses({ item: { losses } }: { item: PlanItem }) {
  if (losses.length === 0) return <Text size="sm">Nothing is lost: no disk is written.</Text>
  return (
    <div>
      <Text size="sm" fw={600}>
        What will be lost
      </Text>
      <List size="sm">
        {losses.map((loss) => (
          <List.Item key={loss}>{loss}</List.Item>
        ))}
      </List>
    </div>
  )
}
