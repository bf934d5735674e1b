import { randomUUID } from 'node:crypto'
import type { SystemFiles } from '../system-files.ts'

const ISCSI_NAME = '/etc/iscsi/initiatorname.iscsi'
const NVME_NAME = '/etc/nvme/hostnqn'
const NVME_ID = '/etc/nvme/hostid'

/**
 * Names by which storage arrays know a host (RFC 7143 section 4.2.7, NVMe Base 4.5): two hosts under
 * one name would share, and so destroy, one volume. Only what the image has is renewed.
 */
export async function resetStorageNames(files: SystemFiles): Promise<void> {
  const uuid = randomUUID()
  const iscsi = await files.read(ISCSI_NAME)
  const name = iscsi && /^\s*InitiatorName\s*=\s*(\S+)/m.exec(iscsi)?.[1]
  if (iscsi && name) {
    const prefix = name.replace(/:[^:]*$/, '')
    const renewed = `${prefix}:${uuid.replaceAll('-', '').slice(0, 12)}`
    await files.write(
      ISCSI_NAME,
      iscsi.replace(name, () => renewed),
    )
  }
  if ((await files.kind(NVME_NAME)) === 'file')
    await files.write(NVME_NAME, `nqn.2014-08.org.nvmexpress:uuid:${uuid}\n`)
  if ((await files.kind(NVME_ID)) === 'file') await files.write(NVME_ID, `${uuid}\n`)
}
