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
import type { Plan, PlanItem } from '#protocol/run/plan.ts'
import { formatBytes } from '../components/format.ts'
import { Mac } from '../components/Mac.tsx'
import { canStart } from './plan-items.ts'
import { draftOf, planPath } from './plan-query.ts'
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
          aria-label={`${isShown ? 'Less' : 'More'} about ${item.name}`}
          aria-expanded={isShown}
          aria-controls={id}
          onClick={() => setShown(!isShown)}
          rightSection={<Chevron size={16} aria-hidden />}
          style={{ flexShrink: 0 }}
        >
          {isShown ? 'Less' : 'More'}
        </Button>
      </Group>
      <Findings item={item} plan={plan} />
      <Collapse expanded={isShown} id={id} transitionDuration={0}>
        {isShown && (
          <Stack gap="sm" mt="sm">
            {(canStart(item) || item.losses.length > 0) && <Losses item={item} />}
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

function Findings({ item, plan }: { item: PlanItem; plan: Plan }) {
  const { problems, warnings } = item
  if (problems.length + warnings.length === 0) return null
  return (
    <Stack gap="xs" mt="sm">
      {problems.map(({ code, message }) => (
        <Alert key={code} color="red" icon={<IconBan />} p="xs">
          {message}
          <Remedy code={code} item={item} plan={plan} />
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

/** Where a problem is put right. */
function Remedy({ code, item, plan }: { code: string; item: PlanItem; plan: Plan }) {
  const draft = draftOf(plan.request)
  const remedies: Record<string, { to: string; text: string }> = {
    'disk-ambiguous': {
      to: planPath({ ...draft, macs: [item.mac] }),
      text: 'Choose its disk',
    },
    'machine-locked': { to: `/machines/${item.mac}`, text: 'To the machine, to unlock it' },
    'run-active': { to: `/runs?mac=${item.mac}&active=true`, text: 'To its run' },
    'inventory-missing': { to: `/machines/${item.mac}`, text: 'To the machine: how far it boots' },
  }
  const remedy = remedies[code]
  if (!remedy) return null
  return (
    <Anchor
      component={Link}
      to={remedy.to}
      size="sm"
      display="block"
      w="fit-content"
      underline="always"
      c="inherit"
    >
      {remedy.text}
    </Anchor>
  )
}

function Losses({ item }: { item: PlanItem }) {
  const { losses } = item
  if (losses.length === 0) return <Text size="sm">Nothing is lost: no disk is written.</Text>
  return (
    <div>
      <Text size="sm" fw={600}>
        {canStart(item) ? 'What will be lost' : 'What would be lost'}
      </Text>
      <List size="sm">
        {losses.map((loss) => (
          <List.Item key={loss}>{loss}</List.Item>
        ))}
      </List>
    </div>
  )
}
