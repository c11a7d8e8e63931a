// Sockets that runtimes listen on.
import { stat } from 'node:fs/promises'

/** Whether there is a socket to connect to: what costs nothing to ask, before a client is loaded. */
export async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket()
  } catch {
    return false
  }
}
