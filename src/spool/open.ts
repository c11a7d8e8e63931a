// The two spools of a node: the one that the admin gave a disk, and a small one for notes beside the handlers' other state.
import type { Config } from '../config/table.ts'
import type { Os } from '../os/os.ts'
import { openSpool, type Spool } from './spool.ts'

/** A thousand notes; on a tmpfs, it is memory. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024

/** @throws CoreliftError `E_SPOOL` */
export async function openSpoolDir(
  os: Pick<Os, 'tryLock'>,
  { dir = '', bytesMax, freeBytesMin, allowRootFilesystem }: Config['spool'],
): Promise<Spool> {
  const options = { path: dir, key: 'spool.dir', takesBlobs: true } as const
  return await openSpool(os, { ...options, bytesMax, freeBytesMin, allowRootFilesystem })
}

/**
 * Notes only. budget.state_dir itself must be there.
 * @throws CoreliftError `E_SPOOL`
 */
export async function openPending(
  os: Pick<Os, 'tryLock'>,
  { stateDir }: Pick<Config['budget'], 'stateDir'>,
): Promise<Spool> {
  return await openSpool(os, {
    path: `${stateDir}/pending`,
    key: 'budget.state_dir',
    bytesMax: PENDING_BYTES_MAX,
    freeBytesMin: 0,
    allowRootFilesystem: false,
    takesBlobs: false,
  })
}
