import { Value } from 'typebox/value'
import { type Manifest, ManifestSchema } from '#protocol/image/image.ts'

/** Throws TypeError for anything but a manifest of our format. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const manifest: unknown = JSON.parse(new TextDecoder().decode(bytes))
  if (!Value.Check(ManifestSchema, manifest))
    throw new TypeError(`The manifest is not one of our image format, version 1`)
  return manifest
}
