/** The care of the chunk store: what is done to it in the background, and how it is. */

export type StoreJobName = 'scrub' | 'recompress' | 'sweep'
