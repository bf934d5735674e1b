/** A manifest that no image can have, whatever the store holds. */
export class ManifestRefusedError extends Error {
  override name = 'ManifestRefusedError'
}
