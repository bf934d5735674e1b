import { nativeCalls } from './native-calls.ts'

/**
 * zstd from memory to memory, with the library that Node itself holds: its own calls make a context and an
 * output buffer anew for each chunk.
 */

const zstd = nativeCalls((koffi) => {
  const library = koffi.load(null)
  return {
    createContext: library.func('void *ZSTD_createDCtx()'),
    decompress: library.func(
      'size_t ZSTD_decompressDCtx(void *context, void *target, size_t room, const void *source, size_t length)',
    ),
    isError: library.func('uint32_t ZSTD_isError(size_t result)'),
    getErrorName: library.func('const char *ZSTD_getErrorName(size_t result)'),
  }
})

/** One a thread, kept. */
let context: unknown

/** Puts the content of frames into `target`; how many bytes that are. Throws if there is no room. */
export function decompressInto(target: Uint8Array, frame: Uint8Array): number {
  context ??= zstd.createContext()
  if (!context) throw new Error('There is no memory left for zstd')
  const length = zstd.decompress(context, target, target.length, frame, frame.length) as number
  if (zstd.isError(length) !== 0) throw new Error(`zstd: ${zstd.getErrorName(length) as string}`)
  return length
}
