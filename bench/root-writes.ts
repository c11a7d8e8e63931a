// That a dump writes nothing to the root file system: the handler runs where that is read-only, so nothing can be, and
// the kernel's account of the process says whether it wrote to any other disk.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { crashPython, whyNoDump } from './dump.ts'
import { coreliftHandler, storedCore, startS3Node } from './handlers.ts'
import type { Measurement } from './measurement.ts'

const QUANTITY = 'bytes written to the root file system during a dump'

export const rootWrites: Measurement = {
  name: 'root-writes',
  quantities: [QUANTITY],
  whyNot: whyNoDump,
  async measure() {
    const node = await startS3Node()
    try {
      const account = join(node.dir, 'io')
      // A mount namespace of its own: the machine's root stays as it is. The shell's account includes that of the
      // children it waited for: proc_pid_io(5).
      const inner = `mount -o remount,bind,ro / && "$@"; cat /proc/$$/io >${account}`
      const handler = coreliftHandler(
        node,
        `exec unshare --mount /bin/sh -c '${inner}' sh ${node.binary} "$@"`,
      )
      await crashPython(handler)
      const { core, manifest } = await storedCore(node, 1)
      const io = readFileSync(account, 'utf8')
      const bytes = Number(/^write_bytes: (\d+)$/m.exec(io)?.[1])
      const read = (core.bytesReceived / 1e9).toFixed(2)
      const note =
        `root remounted read-only for the handler: the core (${read} GB) is complete, with ` +
        `${manifest.warnings.length === 0 ? 'no warning' : manifest.warnings.join('; ')}; write_bytes in /proc/<pid>/io counts every disk`
      return [{ quantity: QUANTITY, target: '0', measured: `${bytes}`, met: bytes === 0, note }]
    } finally {
      await node.stop()
    }
  },
}
