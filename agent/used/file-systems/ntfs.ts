import { omitFile, withoutOmitted } from '../page-files.ts'
import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'
import { findNtfsFile, listNtfsRoot, readNtfs, whyNotAtRest } from './ntfs-state.ts'

/** What Windows sets up anew when it starts, by its name in the root folder. */
const PAGE_FILES: Record<string, string> = {
  'pagefile.sys': 'page file',
  'swapfile.sys': 'page file',
  'hiberfil.sys': 'hibernation file',
}
/**
 * Windows looks at the beginning of each for a crash dump or a sleeping system. It stays, so that
 * it does not find what the target disk happened to hold there.
 */
const KEPT_BYTES = 65_536

export const surveyNtfs: Surveyor = async (context, view) => {
  const { exec } = context
  const facts = await readNtfs(exec, view.path)
  const reason = await whyNotAtRest(exec, view, facts)
  if (reason !== undefined) return { kind: 'whole', reason }

  const omitted = []
  for (const name of await listNtfsRoot(exec, view.path)) {
    const what = PAGE_FILES[name.toLowerCase()]
    if (what === undefined) continue
    const pieces = await findNtfsFile(exec, view.path, ['-F', `/${name}`], facts)
    omitted.push(omitFile(`${what} /${name}`, pieces, KEPT_BYTES))
  }
  const used = await mapUsed(context, 'ntfs', view)
  return withoutOmitted(
    used,
    omitted.filter(({ leftOut }) => leftOut.bytes > 0),
  )
}
