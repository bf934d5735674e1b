/**
 * The little that we read of the XML that S3 answers: elements without attributes, never within
 * one of the same name. Names of objects are asked for URL-encoded (`encoding-type=url`).
 */

export type ListedObject = { key: string; bytes: number; modifiedAt: Date; etag: string }

export type ObjectPage = {
  objects: ListedObject[]
  /** Asks for the next page; undefined on the last. */
  next: string | undefined
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Text of the first such element. */
export function findElement(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]
  return text?.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (all, decimal, hex, named) => {
    if (named) return ENTITIES[named] ?? all
    return String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex, 16))
  })
}

/** Answer to ListObjectsV2. Throws TypeError if it is none. */
export function parseObjectPage(xml: string): ObjectPage {
  if (!/<ListBucketResult[\s>]/.test(xml))
    throw new TypeError(`Not a list of objects: "${xml.slice(0, 200)}"`)
  const objects = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, content = '']) =>
    parseObject(content),
  )
  if (findElement(xml, 'IsTruncated') !== 'true') return { objects, next: undefined }
  // Taken for the last page, it would hide the rest: a copy that lacks it would say that it has all.
  const next = findElement(xml, 'NextContinuationToken')
  if (!next) throw new TypeError('A list that goes on does not say where')
  return { objects, next }
}

function parseObject(xml: string): ListedObject {
  const element = (name: string) => {
    const text = findElement(xml, name)
    if (text === undefined) throw new TypeError(`A listed object has no ${name}: "${xml}"`)
    return text
  }
  return {
    key: decodeURIComponent(element('Key').replaceAll('+', ' ')),
    bytes: Number(element('Size')),
    modifiedAt: new Date(element('LastModified')),
    etag: element('ETag'),
  }
}
