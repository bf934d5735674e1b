/** A disk is cut at every MiB. By itself, for threads that need nothing else of the image format. */
export const CHUNK_BYTES = 1_048_576
