// Cgroups that tests make by hand, and those that the lab's containers leave behind: removed when empty, in every hierarchy,
// as they were found before.
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import path from 'node:path'

/** Where the hierarchies are mounted, v1 and v2: proc(5), /proc/<pid>/mountinfo. */
function hierarchies(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => / - cgroup2? /.test(line))
    .map(line => line.split(' ')[4] ?? '')
}

/**
 * Notes which cgroups are missing.
 * @param names - Paths below the hierarchies' roots, parents first.
 * @returns A function that removes those that have come since. One that is in use stays.
 */
export function rememberCgroups(names: readonly string[]): () => void {
  const directories = hierarchies().flatMap(root => names.map(name => path.join(root, name)))
  const missing = directories.filter(directory => !existsSync(directory))
  return () => {
    for (const directory of missing.reverse()) {
      try {
        rmdirSync(directory)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error
      }
    }
  }
}

/** `/a/b` as `/a`, `/a/b`: what rememberCgroups() takes. */
export function ancestry(cgroup: string): string[] {
  const names = cgroup.split('/').filter(name => name !== '')
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
}

/** Where cgroup v2 is mounted: proc(5), /proc/<pid>/mountinfo. */
export const CGROUP2 = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .find(line => line.includes(' - cgroup2 '))
  ?.split(' ')[4]

/** Makes cgroups down to the last one, runs something, and removes those that it has made. */
export async function withCgroup<T>(cgroup: string, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = path.join(CGROUP2!, cgroup)
  const first = mkdirSync(directory, { recursive: true }) ?? `${directory}/`
  try {
    return await use(directory)
  } finally {
    let made = directory
    while (made.startsWith(first)) {
      rmdirSync(made)
      made = path.dirname(made)
    }
  }
}
