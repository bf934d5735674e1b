import type { Steps } from '../run-steps.ts'
import { bootEntry } from './boot-entry.ts'
import { checkMachine } from './check-machine.ts'
import { compareDiskStep } from './compare-disk.ts'
import { growRoot } from './grow-root.ts'
import { inventory } from './inventory.ts'
import { readImage } from './read-image.ts'
import { resetIdentity } from './reset-identity.ts'
import { setIdentity } from './set-identity.ts'
import { wipeDisk } from './wipe-disk.ts'
import { writeImage } from './write-image.ts'

/** The steps that workflows are made of, by the names of `STEPS_OF_WORKFLOW`. */
export const STEPS: Steps = {
  checkMachine,
  diskless: { inventory },
  others: {
    'write-image': writeImage,
    'grow-root': growRoot,
    'reset-identity': resetIdentity,
    'set-identity': setIdentity,
    'boot-entry': bootEntry,
    'read-image': readImage,
    'compare-disk': compareDiskStep,
    'wipe-disk': wipeDisk,
  },
}
