import type { Image } from '#protocol/image/image-info.ts'

export interface ImageChoice {
  value: string
  label: string
  image: Image
}

/**
 * What can be assigned or deployed: the name, which follows what it stands for; and of an image with a
 * history, the version of today for good, and whatever is newest.
 */
export function imageChoices(images: readonly Image[]): ImageChoice[] {
  return images.flatMap((image) => {
    const { name, version, latestVersion, versionCount } = image
    const own = { value: name, label: name, image }
    if (versionCount === 1) return [own]
    return [
      own,
      { value: `${name}@${version}`, label: `${name}@${version}, this version for good`, image },
      { value: `${name}@latest`, label: `${name}@latest, the newest (${latestVersion})`, image },
    ]
  })
}
