/** What was looked at, and a sentence on how it is and what to do. */
export interface Finding {
  name: string
  ok: boolean
  message: string
}
