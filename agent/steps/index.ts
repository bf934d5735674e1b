import type { Steps } from '../run-steps.ts'
import { checkMachine } from './check-machine.ts'
import { inventory } from './inventory.ts'
import { readImage } from './read-image.ts'
import { wipeDisk } from './wipe-disk.ts'
import { writeImage } from './write-image.ts'

/** The steps that workflows are made of, by the names of `STEPS_OF_WORKFLOW`. */
export const STEPS: Steps = {
  checkMachine,
  diskless: { inventory },
  others: {
    'write-image': writeImage,
    'read-image': readImage,
    'wipe-disk': wipeDisk,
  },
}
