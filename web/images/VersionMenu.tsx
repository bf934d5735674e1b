import { Button, Menu } from '@mantine/core'
import { IconDots } from '@tabler/icons-react'
import { Link } from 'react-router'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { useMay } from '../api/session.ts'
import { planPath } from '../plan/plan-query.ts'

export interface VersionsProps {
  versions: readonly ImageVersion[]
  /** Its number. */
  promoted: number
  onAsk: (kind: 'promote' | 'delete', version: ImageVersion) => void
}

interface VersionMenuProps extends Pick<VersionsProps, 'promoted' | 'onAsk'> {
  version: ImageVersion
}

/** What can be done with one version. */
export function VersionMenu({ version: row, promoted, onAsk }: VersionMenuProps) {
  const mayOperate = useMay('operator')
  const { image, version, isPromoted, damaged } = row
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="subtle"
          size="compact-sm"
          aria-label={`Actions for version ${version}`}
          px={4}
        >
          <IconDots size={16} aria-hidden />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {damaged ? (
          <Menu.Item disabled>Download: the store has lost a part of it</Menu.Item>
        ) : (
          <Menu.Item component="a" href={`/images/${image}@${version}.img.gz`} download>
            Download
          </Menu.Item>
        )}
        {mayOperate && !damaged && (
          <Menu.Item
            component={Link}
            to={planPath({ workflow: 'deploy', image: `${image}@${version}` })}
          >
            Deploy it
          </Menu.Item>
        )}
        {mayOperate && !isPromoted && (
          <>
            <Menu.Item onClick={() => onAsk('promote', row)}>
              {version < promoted ? 'Roll back to it' : 'Promote'}
            </Menu.Item>
            <Menu.Item color="var(--mantine-color-error)" onClick={() => onAsk('delete', row)}>
              Delete
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}
