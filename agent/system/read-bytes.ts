import { open } from 'node:fs/promises'

/** So many bytes of a device or file; zeros behind its end. */
export async function readBytes(path: string, start: number, length: number): Promise<Buffer> {
  await using file = await open(path, 'r')
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, start)
  return bytes
}
