import type { LackingVersion } from '#protocol/store-migration.ts'
import { AlertLink } from '../components/AlertLink.tsx'

/** In an alert: versions of images, and how many chunks they lack. */
export function LackingVersions({ versions }: { versions: LackingVersion[] }) {
  return (
    <ul style={{ margin: 0 }}>
      {versions.map(({ image, version, isPromoted, chunks }) => (
        <li key={`${image}@${version}`}>
          <AlertLink to={`/images/${image}`}>
            {isPromoted ? image : `${image}@${version}`}
          </AlertLink>{' '}
          lacks {chunks === 1 ? 'one chunk' : `${chunks} chunks`}
        </li>
      ))}
    </ul>
  )
}
