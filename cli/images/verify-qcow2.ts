import { open } from 'node:fs/promises'
import { CHUNK_BYTES, chunkLength, type Manifest } from '#protocol/image/image.ts'
import { CliError, EXIT } from '../errors.ts'
import { hashChunk, isZero, type RemoteChunks } from './chunks.ts'

/**
 * Compares what a qcow2 file of the server's making holds with the manifest (QEMU's
 * docs/interop/qcow2.txt): its clusters are neither compressed nor shared.
 */
export async function verifyQcow2(
  path: string,
  manifest: Manifest,
  chunks: RemoteChunks,
  onProgress: (bytesDone: number) => void,
): Promise<void> {
  const damaged = (reason: string) =>
    new CliError(EXIT.failed, `${path} is damaged: ${reason}; remove it and pull the image again`)
  await using file = await open(path, 'r')
  const { size: fileBytes } = await file.stat()

  async function read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(bytes, done, length - done, at + done)
      if (bytesRead === 0) throw damaged(`it ends at byte ${fileBytes}`)
      done += bytesRead
    }
    return bytes
  }

  const header = await read(0, 104)
  const clusterBytes = 2 ** header.readUInt32BE(20)
  if (header.toString('latin1', 0, 4) !== 'QFI\xfb' || clusterBytes > CHUNK_BYTES)
    throw damaged('it is no qcow2 file of this server')
  if (Number(header.readBigUInt64BE(24)) !== manifest.sizeBytes)
    throw damaged('its disk has another size')
  const l1 = await read(Number(header.readBigUInt64BE(40)), header.readUInt32BE(36) * 8)
  const tableEntries = clusterBytes / 8
  let tableIndex = -1
  let table: Buffer | undefined

  async function cluster(index: number, length: number): Promise<Buffer> {
    const wanted = Math.floor(index / tableEntries)
    if (wanted !== tableIndex) {
      const at = offsetOf(l1, wanted)
      table = at === 0 ? undefined : await read(at, clusterBytes)
      tableIndex = wanted
    }
    const at = table ? offsetOf(table, index % tableEntries) : 0
    return at === 0 ? Buffer.alloc(length) : await read(at, length)
  }

  let index = 0
  for await (const reference of chunks.references(manifest)) {
    const length = chunkLength(manifest.sizeBytes, index)
    const parts: Buffer[] = []
    for (let at = 0; at < length; at += clusterBytes)
      parts.push(
        await cluster(
          (index * CHUNK_BYTES + at) / clusterBytes,
          Math.min(clusterBytes, length - at),
        ),
      )
    const chunk = Buffer.concat(parts)
    const isRight =
      reference === 'unused' ||
      (reference === 'zero' ? isZero(chunk) : (await hashChunk(chunk)) === reference)
    if (!isRight) throw damaged(`the content differs at byte ${index * CHUNK_BYTES} of the disk`)
    index++
    onProgress(Math.min(index * CHUNK_BYTES, manifest.sizeBytes))
  }
}

/** Without its flags; 0: there is nothing, which reads as zeros. */
function offsetOf(table: Buffer, index: number): number {
  return Number(table.readBigUInt64BE(index * 8) & 0x00ff_ffff_ffff_fe00n)
}
