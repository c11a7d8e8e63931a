// The file that node_exporter's textfile collector reads. It reads whenever it is asked, so the file is replaced as a whole.
import { closeSync, constants, fchmodSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const FILE = 'corelift.prom'
/** The collector reads `*.prom` only. */
const INCOMING = `.${FILE}.new`
/** The directory may be another user's: what stands there under the name is removed, and never followed. */
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
/** node_exporter is not root. */
const MODE = 0o644

/** @param directory - `metrics.textfile_dir`. */
export const textfileIn = (directory: string): string => path.join(directory, FILE)

/** @throws As `openSync` does. */
export function writeTextfile(directory: string, text: string): void {
  const incoming = path.join(directory, INCOMING)
  rmSync(incoming, { force: true })
  const fd = openSync(incoming, CREATE, MODE)
  try {
    fchmodSync(fd, MODE) // whatever the umask
    writeFileSync(fd, text)
  } finally {
    closeSync(fd)
  }
  renameSync(incoming, textfileIn(directory))
}
