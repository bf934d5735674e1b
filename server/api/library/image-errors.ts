import {
  ChunkCorruptError,
  ChunkMissingError,
  StoreFullError,
  StoreUnreachableError,
} from '#server/images/store/chunk-store.ts'
import { DatabaseFullError } from '#server/db/embedded-failure.ts'
import { CaptureOverError } from '#server/db/runs/runs.ts'
import { ManifestRefusedError } from '#server/images/commit/check-image.ts'
import { ChunkRefusedError } from '#server/images/store/chunk-threads.ts'
import { ImageFileError } from '#server/images/files/image-file-error.ts'
import { ImageRefusedError } from '#server/images/import/import-error.ts'
import {
  NotFoundError,
  RequestError,
  UnauthorizedError,
  UnavailableError,
  UnprocessableError,
} from '../http/errors.ts'
import { TooManyUploadsError } from './image-library.ts'

/** Throws what the caller is told for an error of the image store; anything else as it is. */
export function rethrowImageError(err: unknown): never {
  if (err instanceof ImageRefusedError)
    throw err.code === 'image-too-large'
      ? new RequestError(413, err.code, err.message)
      : new UnprocessableError(err.message, err.code)
  if (err instanceof ImageFileError) throw fileRefusal(err)
  if (err instanceof TooManyUploadsError)
    throw new UnavailableError(err.message, 'too-many-uploads')
  if (err instanceof ManifestRefusedError)
    throw new UnprocessableError(err.message, 'refused-manifest')
  if (err instanceof ChunkRefusedError)
    throw new UnprocessableError(`The chunk is refused: ${err.message}`, 'refused-chunk')
  if (err instanceof ChunkMissingError) throw new NotFoundError(err.message, 'chunk-missing')
  if (err instanceof ChunkCorruptError) throw new RequestError(500, 'chunk-corrupt', err.message)
  if (err instanceof StoreFullError) throw new RequestError(507, 'store-full', err.message)
  if (err instanceof CaptureOverError) throw new UnauthorizedError(err.message, 'run-over')
  if (err instanceof DatabaseFullError) throw new RequestError(507, 'database-full', err.message)
  if (err instanceof StoreUnreachableError)
    throw new UnavailableError(err.message, 'store-unreachable')
  throw err
}

function fileRefusal({ code, message }: ImageFileError): RequestError {
  switch (code) {
    case 'bad-path':
      return new RequestError(400, code, message)
    case 'no-such-file':
    case 'no-such-partition':
      return new NotFoundError(message, code)
    case 'not-a-directory':
    case 'not-a-file':
    case 'unreadable-file-system':
      return new UnprocessableError(message, code)
    case 'reader-missing':
      return new RequestError(501, code, message)
    case 'spool-full':
      return new RequestError(507, code, message)
  }
}
