/** A MAC address in the one form we store, compare and print: `52:54:00:12:34:56`. */
export type Mac = string & { readonly __mac: unique symbol }

/**
 * The spellings we accept: iPXE prints `52-54-00-12-34-56`, labels often `525400123456`, switches
 * `5254.0012.3456`.
 */
export const MAC_PATTERN = '^[0-9a-fA-F]{2}([:.-]?[0-9a-fA-F]{2}){5}$'

const MAC_REGEXP = new RegExp(MAC_PATTERN)

/** Throws TypeError for anything that is not six octets in an accepted spelling. */
export function parseMac(text: string): Mac {
  if (!MAC_REGEXP.test(text)) throw new TypeError(`Not a MAC address: "${text}"`)
  const octets = text.toLowerCase().match(/[0-9a-f]{2}/g)!
  return octets.join(':') as Mac // the one cast to Mac in the codebase
}
