import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

export const surveyNtfs: Surveyor = async (context, view) => {
  return { kind: 'used', used: await mapUsed(context, 'ntfs', view), leftOut: [], patches: [] }
}
