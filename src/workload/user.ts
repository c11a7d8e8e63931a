// Names of users, from the node's passwd(5). Users that only a directory service knows have none here: asking one
// could take any time.
import { readFileSync } from 'node:fs'

/**
 * @param uid - In the initial user namespace.
 * @returns The first name that the file gives it.
 */
export function userName(uid: number, file = '/etc/passwd'): string | undefined {
  try {
    const lines = readFileSync(file, 'utf8').split('\n')
    return lines.map(line => line.split(':')).find(fields => fields[2] === String(uid))?.[0]
  } catch {
    return undefined
  }
}
