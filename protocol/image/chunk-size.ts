/** A disk is cut at every MiB. By itself, for threads that need nothing else of the image format. */
export const CHUNK_BYTES = 1_048_576

/** A chunk that does not compress, with what its codec adds: in more than this none is stored or sent. */
export const LONGEST_STORED_BYTES = CHUNK_BYTES + 65_536
