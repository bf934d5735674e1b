/**
 * Tells the captures of one person apart, each a UUID of its own: with the commit of one, what it stored may be swept
 * unless an image needs it, and what another stored may not. Likewise their readings: an image whose manifest was asked for
 * with it is kept for whoever goes on asking for chunks with it.
 */
export const UPLOAD_HEADER = 'x-stampede-upload'
export const UPLOAD_ID_PATTERN = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
