import { referenceTo } from '#protocol/image/image-reference.ts'
import type { LackingVersion } from '#protocol/store-migration.ts'
import { AlertLink } from '../components/AlertLink.tsx'

/** In an alert: versions of images, and how many chunks they lack. */
export function LackingVersions({ versions }: { versions: LackingVersion[] }) {
  return (
    <ul style={{ margin: 0 }}>
      {versions.map((version) => (
        <li key={`${version.image}@${version.version}`}>
          <AlertLink to={`/images/${version.image}`}>{referenceTo(version)}</AlertLink> lacks{' '}
          {version.chunks === 1 ? 'one chunk' : `${version.chunks} chunks`}
        </li>
      ))}
    </ul>
  )
}
