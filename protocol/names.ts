/** How names are spelled. Apart from the schemas, so that a page can check what somebody types without them. */

export const IMAGE_NAME_PATTERN = '^[a-z0-9][a-z0-9._-]{0,127}$'

/** An image's name, and perhaps which version: `debian-13`, `debian-13@3`, `debian-13@latest`. */
export const IMAGE_REFERENCE_PATTERN = '^[a-z0-9][a-z0-9._-]{0,127}(@([1-9][0-9]{0,8}|latest))?$'

/** Of runs, plans, tokens, uploads and what else gets a number nobody chose. */
export const UUID_PATTERN = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'

/** RFC 1123 host name, a single label or dotted. */
export const HOSTNAME_PATTERN =
  '^(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$'

const HOSTNAME_REGEXP = new RegExp(HOSTNAME_PATTERN)
const MAX_LABEL_CHARACTERS = 63

/** A machine may be called "Rack 3, node 7"; a host may not. */
export function hostnameFrom(name: string): string | undefined {
  if (HOSTNAME_REGEXP.test(name)) return name
  const label = name
    .replaceAll(/[^a-zA-Z0-9-]+/g, '-')
    .slice(0, MAX_LABEL_CHARACTERS)
    .replaceAll(/^-+|-+$/g, '')
  return HOSTNAME_REGEXP.test(label) ? label : undefined
}
